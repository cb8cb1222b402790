// A list of any length, of which the pages around what is shown are in memory.

import { signal } from "@preact/signals";
import { ApiError } from "../../api/errors";
import { idOf } from "../../api/kinds";
import type { Profile } from "../../api/types";
import { session } from "../../state/session";
import { cellOf, requestField, type Cell, type Column } from "./columns";
import { fetchPage, placeOf, type Source } from "./source";

export interface Row {
  readonly id: string;
  readonly cells: readonly Cell[];
}

interface Page {
  /** What asks for the page. */
  token: string;
  /** The number of the page's first row. */
  start: number;
  count: number;
  lastId: string;
  /** Undefined while the page is not in memory. */
  rows: readonly Row[] | undefined;
  /** Whether its rows may be older than a change. They stay until newer ones are there. */
  isStale: boolean;
  isLoading: boolean;
}

/** How many pages are in memory at most. */
const KEPT_PAGES = 12;

/** The rows before the end of what is known from which on the next page is requested. */
const AHEAD = 150;

/** Browsers draw no element that is much higher than this many rows. */
const MAX_ROWS = 400_000;

export class List {
  /** Changes with everything that is shown of the list. */
  readonly changes = signal(0);
  error: ApiError | undefined;
  scrollTop = 0;
  /** The number of the row that was opened, or moved to by a key. */
  selected = -1;

  private pages: Page[] = [];
  /** What asks for the page after the last known one; undefined after the last page. */
  private next: string | undefined = "";
  private isAppending = false;
  /** Counts the changes of what is requested: a response to an earlier request is dropped. */
  private turn = 0;

  constructor(
    readonly source: Source,
    private columns: readonly Column[],
  ) {}

  /** The number of known rows. More may follow. */
  get length(): number {
    const last = this.pages.at(-1);
    return last ? last.start + last.count : 0;
  }

  /** Whether the last row is known. */
  get isWhole(): boolean {
    return this.next === undefined;
  }

  /** Whether the first page has arrived. */
  get hasBegun(): boolean {
    return this.pages.length > 0;
  }

  /** Whether more match than can be scrolled to. */
  get isCut(): boolean {
    return this.next !== undefined && this.length >= MAX_ROWS;
  }

  row(index: number): Row | undefined {
    const page = this.pages[this.pageAt(index)];
    return page?.rows?.[index - page.start];
  }

  /** Show these columns. The list keeps its place. */
  setColumns(columns: readonly Column[]): void {
    if (columns.map(({ path }) => path).join() === this.columns.map(({ path }) => path).join()) return;
    this.columns = columns;
    this.turn += 1;
    this.isAppending = false;
    for (const page of this.pages) Object.assign(page, { rows: undefined, isLoading: false });
    this.changed();
  }

  /** Request what is shown again, when it is next needed. */
  refresh(): void {
    if (this.length === 0) return this.restart();
    this.error = undefined;
    for (const page of this.pages) page.isStale = true;
  }

  /** Forget everything, and begin at the first page. */
  restart(): void {
    this.turn += 1;
    this.pages = [];
    this.next = "";
    this.isAppending = false;
    this.error = undefined;
    this.scrollTop = 0;
    this.selected = -1;
    this.changed();
  }

  /** Request what is missing for the rows from `first` to `last`, and forget what is far from them. */
  need(first: number, last: number): void {
    if (this.error) return;
    const [low, high] = [this.pageAt(first), this.pageAt(last)];
    for (const page of this.pages.slice(low, high + 1)) {
      if ((!page.rows || page.isStale) && !page.isLoading) void this.load(page);
    }
    if (this.next !== undefined && !this.isAppending && last + AHEAD >= this.length && !this.isCut) void this.append(this.next);
    this.pages.forEach((page, index) => {
      const distance = index < low ? low - index : index - high;
      if (distance > KEPT_PAGES / 2) page.rows = undefined;
    });
  }

  private append(token: string): Promise<void> {
    this.isAppending = true;
    const end = () => (this.isAppending = false);
    return this.request(token, end, (profiles, next) => {
      const page = { token, start: this.length, count: 0, lastId: "", rows: undefined, isStale: false, isLoading: false };
      this.pages.push(page);
      this.fill(page, profiles);
      this.next = next;
    });
  }

  private load(page: Page): Promise<void> {
    const { token, lastId } = page;
    page.isLoading = true;
    const end = () => (page.isLoading = false);
    return this.request(token, end, (profiles, next) => {
      // The page before it has changed meanwhile, and this one begins elsewhere.
      if (page.token !== token) return;
      this.fill(page, profiles);
      if (page.lastId === lastId) return;
      const following = this.pages[this.pages.indexOf(page) + 1];
      if (!following || next === undefined) {
        this.pages.length = this.pages.indexOf(page) + 1;
        this.next = next;
      } else {
        Object.assign(following, { token: next, isStale: true });
      }
    });
  }

  /** Request a page, and call `end`, then `use` with what it holds, unless the list has begun anew meanwhile. */
  private async request(token: string, end: () => void, use: (profiles: readonly Profile[], next: string | undefined) => void): Promise<void> {
    const { turn, columns } = this;
    try {
      const { profiles, next } = await fetchPage(this.source, [...new Set([this.source.of.key, ...columns.map(requestField)])], token);
      if (turn !== this.turn) return;
      end();
      use(profiles, next || undefined);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (turn !== this.turn) return;
      end();
      this.error = error;
    }
    this.changed();
  }

  private fill(page: Page, profiles: readonly Profile[]): void {
    const { of } = this.source;
    page.rows = profiles.map((profile) => ({ id: idOf(of, profile), cells: this.columns.map((column) => cellOf(profile, column)) }));
    page.isStale = false;
    page.lastId = page.rows.at(-1)?.id ?? "";
    if (page.count === profiles.length) return;
    page.count = profiles.length;
    let start = page.start;
    for (const each of this.pages.slice(this.pages.indexOf(page))) {
      each.start = start;
      start += each.count;
    }
  }

  /** The number of the page with a row. */
  private pageAt(index: number): number {
    let [low, high] = [0, this.pages.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((this.pages[middle]?.start ?? 0) <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  private changed(): void {
    this.changes.value += 1;
  }
}

/** The lists that were shown last, the latest at the end: one who comes back finds the place again. */
let lists: List[] = [];
const KEPT_LISTS = 5;

// Nothing that was read in a session is left after it.
session.subscribe(() => {
  lists = [];
});

/** The list of a source: as it was left where it was shown before. */
export function listOf(source: Source, columns: readonly Column[]): List {
  const place = placeOf(source);
  const left = lists.find((each) => placeOf(each.source) === place);
  left?.refresh();
  const list = left ?? new List(source, columns);
  lists = [...lists.filter((each) => each !== list), list].slice(-KEPT_LISTS);
  list.setColumns(columns);
  return list;
}

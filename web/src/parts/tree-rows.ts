// Which rows a tree of JSON has: pure.

import { isObject } from "../api/json";
import { pathId, type Path } from "../api/paths";
import type { Json, JsonObject } from "../api/types";

export interface TreeRow {
  readonly id: string;
  readonly path: Path;
  readonly value: Json;
  /** 1 at the top. */
  readonly level: number;
  /** 1 for the first of its siblings. */
  readonly position: number;
  readonly siblings: number;
  /** Whether its members are shown. Undefined where it has none. */
  readonly isOpen: boolean | undefined;
  /** The number of further siblings, in the row that shows them; else 0. */
  readonly more: number;
}

export interface Found {
  /** The number of all matches. */
  readonly count: number;
  /** The ids of the first matches. */
  readonly matches: ReadonlySet<string>;
  /** The ids of everything that holds one of these. */
  readonly holders: ReadonlySet<string>;
}

/** How many members of an object or array are shown at first, and how many more with each step. */
export const FIRST_MEMBERS = 100;
export const MORE_MEMBERS = 400;

/** The limit of rows that are open at first. */
const ROWS_AT_FIRST = 80;
/** The limit of members of what is open at first. */
const MEMBERS_AT_FIRST = 20;
const SHOWN_MATCHES = 200;

export function membersOf(value: Json): readonly (readonly [string | number, Json])[] {
  if (Array.isArray(value)) return value.map((each, index) => [index, each] as const);
  return isObject(value) ? Object.entries(value) : [];
}

function memberCount(value: Json): number {
  return Array.isArray(value) ? value.length : isObject(value) ? Object.keys(value).length : 0;
}

/** The ids of the objects that are open at first: the outer ones, as long as the page stays short. */
export function openAtFirst(root: JsonObject): ReadonlySet<string> {
  const open = new Set<string>();
  let rows = memberCount(root);
  const queue: (readonly [Path, Json])[] = [[[], root]];
  for (let holder = queue.shift(); holder; holder = queue.shift()) {
    const [path, value] = holder;
    if (rows > ROWS_AT_FIRST) break;
    for (const [key, inner] of membersOf(value)) {
      const size = memberCount(inner);
      const isShort = Array.isArray(inner) && inner.every((each) => memberCount(each) === 0);
      if (size === 0 || size > MEMBERS_AT_FIRST || isShort || rows + size > ROWS_AT_FIRST) continue;
      rows += size;
      open.add(pathId([...path, key]));
      queue.push([[...path, key], inner]);
    }
  }
  return open;
}

/** The rows of all that is shown. `isOpen` says whether the members of a value are, `shown` how many. */
export function rowsOf(
  root: JsonObject,
  isOpen: (id: string) => boolean,
  shown: (id: string) => number,
  found: Found | null,
): readonly TreeRow[] {
  const rows: TreeRow[] = [];
  const add = (holder: Json, holderPath: Path, level: number): void => {
    const all = membersOf(holder);
    const holderId = pathId(holderPath);
    const isFiltered = found !== null && (found.holders.has(holderId) || level === 1);
    const members = isFiltered ? all.filter(([key]) => isFound(found, pathId([...holderPath, key]))) : all;
    const limit = isFiltered ? members.length : shown(holderId);
    members.slice(0, limit).forEach(([key, value], index) => {
      const path = [...holderPath, key];
      const id = pathId(path);
      const open = memberCount(value) > 0 ? isOpen(id) : undefined;
      rows.push({ id, path, value, level, position: index + 1, siblings: members.length, isOpen: open, more: 0 });
      if (open) add(value, path, level + 1);
    });
    const more = members.length - limit;
    if (more > 0) {
      rows.push({ id: `${holderId}+`, path: holderPath, value: null, level, position: limit + 1, siblings: members.length, isOpen: undefined, more });
    }
  };
  add(root, [], 1);
  return rows;
}

function isFound(found: Found, id: string): boolean {
  return found.matches.has(id) || found.holders.has(id);
}

/** What matches among all keys and values. */
export function find(root: JsonObject, pattern: RegExp): Found {
  const matches = new Set<string>();
  const holders = new Set<string>();
  let count = 0;
  const path: (string | number)[] = [];
  const visit = (holder: Json): void => {
    for (const [key, value] of membersOf(holder)) {
      path.push(key);
      if ((typeof key === "string" && pattern.test(key)) || pattern.test(scalarText(value))) {
        count += 1;
        if (matches.size < SHOWN_MATCHES) {
          matches.add(pathId(path));
          for (let length = 1; length < path.length; length += 1) holders.add(pathId(path.slice(0, length)));
        }
      }
      if (value !== null && typeof value === "object") visit(value);
      path.pop();
    }
  };
  visit(root);
  return { count, matches, holders };
}

function scalarText(value: Json): string {
  if (typeof value === "string") return value;
  if (value === null || typeof value !== "object") return String(value);
  return memberCount(value) > 0 ? "" : Array.isArray(value) ? "[]" : "{}";
}

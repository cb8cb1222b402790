import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { FieldKind } from "../../api/fields";
import { keyLabel, type ProfileKind } from "../../api/kinds";
import { useKeys } from "../../state/keyboard";
import { href, navigate } from "../../state/router";
import { CellValue } from "./cell";
import type { Column } from "./columns";
import type { List, Row } from "./list";

/** The height of each row, and of the head, in pixels. The style sheet has the same. */
const ROW_HEIGHT = 36;

/** The widths of columns, in pixels, where a list is not wider than all of them. Times are shown exactly, and need most. */
const WIDTHS: Readonly<Record<FieldKind, number>> = { json: 215, text: 140, count: 140, time: 212 };

/** The rows that are drawn above and below those that are seen. */
const SPARE = 12;

/** The rows that stand for the next page while it is requested. */
const COMING = 3;

const ORDERED = new Set(["created_time", "modified_time"]);

interface Properties {
  list: List;
  columns: readonly Column[];
  /** Undefined where the order is fixed. */
  order: string | undefined;
  onOrder: (order: string) => void;
}

/** The rows of a list, of which only those near the view are drawn. Another list needs another key. */
export function Table({ list, columns, order, onOrder }: Properties) {
  const { of } = list.source;
  const box = useRef<HTMLDivElement>(null);
  const [range, setRange] = useState(() => {
    const first = Math.floor(list.scrollTop / ROW_HEIGHT);
    return { first, last: first };
  });
  const wanted = useRef(-1);
  void list.changes.value;

  const measure = () => {
    if (!box.current) return;
    const { scrollTop, clientHeight } = box.current;
    list.scrollTop = scrollTop;
    const first = Math.floor(scrollTop / ROW_HEIGHT);
    const last = Math.ceil((scrollTop + clientHeight) / ROW_HEIGHT) - 1;
    // The row with the focus may not be drawn any more: the list receives it, so that the keys go on from there.
    const focused = Number(box.current.querySelector<HTMLElement>("a:focus")?.dataset["row"] ?? first);
    if (focused < first - SPARE || focused > last + SPARE) box.current.focus({ preventScroll: true });
    setRange((before) => (before.first === first && before.last === last ? before : { first, last }));
  };

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    element.scrollTop = list.scrollTop;
    wanted.current = isFocusFree() ? list.selected : -1;
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  const total = list.length + (list.isWhole || list.isCut || list.error ? 0 : COMING);
  const from = Math.max(0, Math.min(range.first, total) - SPARE);
  const to = Math.min(total, range.last + SPARE + 1);

  useLayoutEffect(() => {
    list.need(range.first, range.last);
    focusRow(box.current, wanted);
  });

  const move = (step: number) => {
    const element = box.current;
    if (!element || list.length === 0) return;
    const next = list.selected < 0 ? range.first : list.selected + step;
    list.selected = wanted.current = Math.max(0, Math.min(list.length - 1, next));
    const [top, seen] = [list.selected * ROW_HEIGHT, element.clientHeight - 2 * ROW_HEIGHT];
    if (top < element.scrollTop) element.scrollTop = top;
    else if (top > element.scrollTop + seen) element.scrollTop = top - seen;
    measure();
    list.changes.value += 1;
  };
  useKeys({ j: () => move(1), k: () => move(-1) });

  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined || event.target === box.current) return;
    event.preventDefault();
    move(step);
  };

  const tabbed = list.selected >= from && list.selected < to ? list.selected : range.first;
  const width = columns.reduce((sum, { kind }) => sum + WIDTHS[kind], 0);
  return (
    <div ref={box} class="list-table" role="region" aria-label={`List of ${of.name}`} tabIndex={0} onScroll={measure} onKeyDown={onKeyDown}>
      <table aria-rowcount={list.isWhole ? list.length + 1 : -1} style={{ minWidth: `calc(var(--first) + ${width}px)` }}>
        <colgroup>
          <col class="first" />
          {columns.map(({ path, kind }) => (
            <col key={path} style={{ width: `${WIDTHS[kind]}px` }} />
          ))}
        </colgroup>
        <thead>
          <tr aria-rowindex={1}>
            <Head path={of.key} label={keyLabel(of)} isKey order={order} onOrder={onOrder} />
            {columns.map(({ path, label }) => (
              <Head key={path} path={path} label={label} order={order} onOrder={onOrder} />
            ))}
          </tr>
        </thead>
        <tbody>
          {from > 0 && <Spacer rows={from} />}
          {Array.from({ length: Math.max(0, to - from) }, (_, offset) => {
            const index = from + offset;
            return (
              <TableRow key={index} of={of} index={index} row={list.row(index)} columns={columns} isTabbed={index === tabbed} onOpen={() => (list.selected = index)} />
            );
          })}
          {to < total && <Spacer rows={total - to} />}
        </tbody>
      </table>
    </div>
  );
}

function Head({ path, label, isKey, order, onOrder }: { path: string; label: string; isKey?: boolean } & Pick<Properties, "order" | "onOrder">) {
  if (!order || !(isKey || ORDERED.has(path))) return <th scope="col"><bdi>{label}</bdi></th>;
  const direction = order === path ? "ascending" : order === `${path} desc` ? "descending" : "none";
  return (
    <th scope="col" aria-sort={direction}>
      <button type="button" class="plain" onClick={() => onOrder(direction === "ascending" ? `${path} desc` : path)}>
        {label}
        <span aria-hidden="true">{{ ascending: " ↑", descending: " ↓", none: "" }[direction]}</span>
      </button>
    </th>
  );
}

function Spacer({ rows }: { rows: number }) {
  return (
    <tr aria-hidden="true" class="spacer">
      <td style={{ height: `${rows * ROW_HEIGHT}px` }} />
    </tr>
  );
}

interface RowProperties {
  of: ProfileKind;
  index: number;
  row: Row | undefined;
  columns: readonly Column[];
  isTabbed: boolean;
  onOpen: () => void;
}

function TableRow({ of, index, row, columns, isTabbed, onOpen }: RowProperties) {
  if (!row) {
    return (
      <tr aria-rowindex={index + 2} aria-busy="true" class="coming">
        {["", ...columns].map((_, column) => (
          <td key={column}>
            <span />
          </td>
        ))}
      </tr>
    );
  }
  const open = (event: MouseEvent) => {
    onOpen();
    // What is selected is to be copied; a link opens by itself.
    if (!(event.target as Element).closest("a") && !String(getSelection()) && !event.ctrlKey && !event.metaKey) navigate([of.one, row.id]);
  };
  return (
    <tr aria-rowindex={index + 2} onClick={open}>
      <th scope="row">
        <a href={href([of.one, row.id])} data-row={index} tabIndex={isTabbed ? 0 : -1}>
          <bdi>{row.id}</bdi>
        </a>
      </th>
      {row.cells.map((cell, column) => (
        <td key={column}>
          <CellValue of={cell} />
        </td>
      ))}
    </tr>
  );
}

/** Whether the focus is nowhere in particular, as it is when a view was opened. */
function isFocusFree(): boolean {
  return document.activeElement?.matches("body, main, h1") ?? true;
}

/** Give the focus to the row that is wanted, once it is drawn. */
function focusRow(box: HTMLElement | null, wanted: { current: number }): void {
  const link = box?.querySelector<HTMLElement>(`a[data-row="${wanted.current}"]`);
  if (!link) return;
  wanted.current = -1;
  link.focus({ preventScroll: true });
}

import { Component, type ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { kindOf } from "../api/json";
import { pathText, type Path } from "../api/paths";
import type { JsonObject } from "../api/types";
import { ChevronIcon } from "./icons";
import { LongText } from "./long-text";
import { counted, grouped } from "./text";
import { FIRST_MEMBERS, MORE_MEMBERS, membersOf, openAtFirst, rowsOf, type Found, type TreeRow } from "./tree-rows";
import { Key, Value, asRead, cut, preview } from "./value";
import "./tree.css";

/** From this length in characters on, a string is cut, and can be shown whole. */
const LONG = 160;

export interface TreeProperties {
  /** What the tree holds, for screen readers. */
  label: string;
  root: JsonObject;
  /** The path of the root, such as `metadata`. */
  prefix: Path;
  /** What is marked in keys and values, and what of them is found; null: everything is shown. */
  mark: RegExp | null;
  found: Found | null;
  /** What can be done with the row that has the focus, or is pointed at. */
  actions: (row: TreeRow) => ComponentChildren;
  /** What is shown below a row, such as an editor, and a few words beside its type. They must change when `version` does. */
  below?: (row: TreeRow) => ComponentChildren;
  note?: (row: TreeRow) => string;
  version?: unknown;
  /** Handles a key on the row that has the focus; whether it did something. */
  onKey?: (key: string, row: TreeRow) => boolean;
}

/** JSON as a tree, for pointers and keyboards. Objects and arrays with many members show them in steps. */
export function Tree(properties: TreeProperties) {
  const { root, found, label } = properties;
  const tree = useRef<HTMLDivElement>(null);
  const [toggledAlways, setToggledAlways] = useState<ReadonlyMap<string, boolean>>(new Map());
  const [toggledInSearch, setToggledInSearch] = useState<ReadonlyMap<string, boolean>>(new Map());
  const [shown, setShown] = useState<ReadonlyMap<string, number>>(new Map());
  const [whole, setWhole] = useState<ReadonlySet<string>>(new Set());
  const [activeId, setActiveId] = useState("");
  const [pointedId, setPointedId] = useState("");
  const initial = useMemo(() => openAtFirst(root), []);
  const [toggled, setToggled] = found ? [toggledInSearch, setToggledInSearch] : [toggledAlways, setToggledAlways];
  // What is opened or closed during a search is forgotten with it.
  useEffect(() => setToggledInSearch(new Map()), [found]);

  const rows = useMemo(() => {
    const isOpen = (id: string) => toggled.get(id) ?? (found ? found.holders.has(id) : initial.has(id));
    return rowsOf(root, isOpen, (id) => shown.get(id) ?? FIRST_MEMBERS, found);
  }, [root, toggled, shown, found]);
  const active = rows.find((row) => row.id === activeId) ?? rows[0];

  // Where the row with the focus is gone, the one in its place has it.
  const place = useRef(0);
  useLayoutEffect(() => {
    const index = rows.findIndex((row) => row.id === activeId);
    if (index >= 0) place.current = index;
    else if (activeId && rows.length > 0 && document.activeElement === document.body) focus(rows[Math.min(place.current, rows.length - 1)]);
  });

  const focus = (row: TreeRow | undefined) => {
    if (!row) return;
    setActiveId(row.id);
    const index = rows.indexOf(row);
    (tree.current?.children[index] as HTMLElement | undefined)?.focus();
  };
  const open = (row: TreeRow, isOpen: boolean) => setToggled(new Map(toggled).set(row.id, isOpen));
  const act = (row: TreeRow) => {
    if (row.more > 0) {
      const holder = row.id.slice(0, -1);
      setShown(new Map(shown).set(holder, (shown.get(holder) ?? FIRST_MEMBERS) + MORE_MEMBERS));
    } else if (row.isOpen !== undefined) {
      open(row, !row.isOpen);
    } else if (isLong(row)) {
      const next = new Set(whole);
      if (!next.delete(row.id)) next.add(row.id);
      setWhole(next);
    }
  };

  const onKeyDown = (event: KeyboardEvent) => {
    const row = active;
    // Keys in an editor, or on a button, are theirs.
    if (!row || event.target !== tree.current?.children[rows.indexOf(row)] || event.ctrlKey || event.metaKey || event.altKey) return;
    const index = rows.indexOf(row);
    const moves: Record<string, () => void> = {
      ArrowDown: () => focus(rows[index + 1]),
      ArrowUp: () => focus(rows[index - 1]),
      Home: () => focus(rows[0]),
      End: () => focus(rows.at(-1)),
      ArrowRight: () => (row.isOpen === false ? open(row, true) : row.isOpen && focus(rows[index + 1])),
      ArrowLeft: () => (row.isOpen ? open(row, false) : focus(rows.slice(0, index).findLast((each) => each.level < row.level))),
      Enter: () => act(row),
      " ": () => act(row),
    };
    const move = moves[event.key];
    if (!move && !properties.onKey?.(event.key, row)) return;
    event.preventDefault();
    move?.();
  };

  return (
    <div ref={tree} class="tree" role="tree" aria-label={label} onKeyDown={onKeyDown} onPointerLeave={() => setPointedId("")}>
      {rows.map((row) => (
        <Row
          key={row.id}
          row={row}
          properties={properties}
          isActive={row === active}
          hasActions={row.id === activeId || row.id === pointedId}
          isWhole={whole.has(row.id)}
          version={properties.version}
          mark={properties.mark}
          act={act}
          focus={setActiveId}
          point={setPointedId}
        />
      ))}
    </div>
  );
}

function isLong({ value }: TreeRow): boolean {
  return typeof value === "string" && value.length > LONG;
}

interface RowProperties {
  row: TreeRow;
  properties: TreeProperties;
  isActive: boolean;
  hasActions: boolean;
  isWhole: boolean;
  version: unknown;
  mark: RegExp | null;
  act: (row: TreeRow) => void;
  focus: (id: string) => void;
  point: (id: string) => void;
}

/** One row. It is rendered anew only if something in it has changed: there may be thousands. */
class Row extends Component<RowProperties> {
  override shouldComponentUpdate(next: RowProperties): boolean {
    const { row, isActive, hasActions, isWhole, version, mark } = this.props;
    if (next.isActive !== isActive || next.hasActions !== hasActions || next.isWhole !== isWhole) return true;
    if (next.version !== version || next.mark !== mark) return true;
    const { value, isOpen, position, siblings, more } = next.row;
    return value !== row.value || isOpen !== row.isOpen || position !== row.position || siblings !== row.siblings || more !== row.more;
  }

  override render({ row, properties, isActive, hasActions, isWhole, mark }: RowProperties) {
    const { path, value, level, isOpen, more } = row;
    const key = path.at(-1) ?? "";
    const kind = kindOf(value);
    // The handlers of the latest properties: this row may not have been rendered since.
    const onClick = (event: MouseEvent) => {
      const target = event.target as Element;
      if (!target.closest(".row") || target.closest("button") || hasSelected(event.currentTarget as Element)) return;
      this.props.act(this.props.row);
    };
    const below = more > 0 ? undefined : properties.below?.(row);
    const note = more > 0 ? "" : (properties.note?.(row) ?? "");
    return (
      <div
        role="treeitem"
        class={`item ${note && "noted"}`}
        aria-level={level}
        aria-posinset={row.position}
        aria-setsize={row.siblings}
        aria-expanded={isOpen}
        // Its words are those that are seen, without those of buttons. What is long or open is named by its content.
        aria-label={more > 0 || isLong(row) || below ? undefined : label(row, note)}
        tabIndex={isActive ? 0 : -1}
        onClick={onClick}
        onFocus={() => this.props.focus(this.props.row.id)}
        onPointerEnter={() => this.props.point(this.props.row.id)}
      >
        <div class="row" style={{ "--d": Math.min(level - 1, 8) }}>
          <span class="key">
            <span class={`twist ${isOpen ? "open" : ""}`}>{isOpen !== undefined && <ChevronIcon />}</span>
            {more > 0 ? null : typeof key === "number" ? <span class="soft">{key}</span> : <Key of={key} mark={mark} />}
          </span>{" "}
          {more > 0 ? (
            <span class="rest">
              Show {grouped(Math.min(more, MORE_MEMBERS))} more <small>{grouped(more)} left</small>
            </span>
          ) : (
            <>
              <span class="content">
                {isOpen ? <small>{members(row)}</small> : <Value of={value} limit={LONG} mark={mark} />}
                {isLong(row) && (
                  <button type="button" class="plain" tabIndex={hasActions ? 0 : -1} aria-expanded={isWhole} onClick={() => this.props.act(row)}>
                    {isWhole ? "Show less" : "Show all"}
                  </button>
                )}
              </span>{" "}
              <span class="type">{note || kind}</span>
              <span class="acts">{hasActions && properties.actions(row)}</span>
            </>
          )}
        </div>
        {isWhole && typeof value === "string" && <LongText text={value} label={pathText([...properties.prefix, ...path])} />}
        {below}
      </div>
    );
  }
}

/** Whether a click ends the selection of text in an element. */
function hasSelected(element: Element): boolean {
  const selection = getSelection();
  return selection !== null && !selection.isCollapsed && element.contains(selection.anchorNode);
}

function members({ value }: TreeRow): string {
  return counted(membersOf(value).length, "value");
}

/** What a screen reader says of a row. */
function label(row: TreeRow, note: string): string {
  const { path, value, isOpen } = row;
  const key = String(path.at(-1));
  const content = isOpen ? members(row) : preview(value, LONG);
  return `${asRead(cut(key, LONG))}: ${content}, ${note || kindOf(value)}`;
}

// The columns of the list, by the paths of what they show.

import { fieldAt, typedPath, type FieldKind } from "../../api/fields";
import { kindOf, valueAt, type Kind } from "../../api/json";
import type { ProfileKind } from "../../api/kinds";
import { pathText, type Path } from "../../api/paths";
import type { Json, Profile } from "../../api/types";
import { cut, preview, quoted } from "../../parts/value";
import { remembered, remember } from "./memory";

export interface Column {
  readonly path: string;
  readonly label: string;
  readonly kind: FieldKind;
  readonly keys: Path;
}

/** What a cell shows of a value: at most a line of it, so that a long list holds no long values. */
export interface Cell {
  /** Undefined where there is no value. */
  readonly kind: Kind | "text" | "time" | "company" | undefined;
  readonly text: string;
  /** The number of characters of a string that is cut. */
  readonly length?: number;
}

export const MAX_COLUMNS = 20;

const CELL_LENGTH = 160;

/** The paths in a parameter of the fragment, or those that this browser remembers. */
export function columnPaths(of: ProfileKind, parameter: string | undefined): readonly string[] {
  if (!parameter) return remembered(of).columns ?? of.columns;
  // A comma may be part of a key in quotes.
  const paths = parameter.match(/(?:"(?:[^"\\]|\\.)*"|[^,"])+/g) ?? [];
  const columns = paths.map((path) => columnAt(of, path)).filter((column) => column !== undefined);
  return [...new Set(columns.map(({ path }) => path))].slice(0, MAX_COLUMNS);
}

/** The parameter of the fragment. The columns that everyone sees first need none. */
export function columnsParameter(of: ProfileKind, paths: readonly string[]): string | undefined {
  const text = paths.join(",");
  return text === of.columns.join(",") ? undefined : text || of.key;
}

export function rememberColumns(of: ProfileKind, paths: readonly string[]): void {
  remember(of, { columns: paths });
}

/** The column of a path that somebody chose; undefined if there is no such field. */
export function columnAt(of: ProfileKind, path: string): Column | undefined {
  const field = fieldAt(of.fields, path);
  if (field) return path === of.key ? undefined : { ...field, keys: path.split(".") };
  const keys = typedPath(path);
  if (!keys || keys[0] !== "metadata" || keys.length < 2) return undefined;
  return { path: pathText(keys), label: pathText(keys), kind: "json", keys };
}

/** The field of a request for profiles that has the value of a column. */
export function requestField({ path, keys }: Column): string {
  return keys[0] === "user_agent" ? "user_agent" : path;
}

export function cellOf(profile: Profile, column: Column): Cell {
  const value = valueAt(profile as unknown as Json, column.keys);
  if (value === undefined) return column.kind === "count" ? { kind: "number", text: "0" } : { kind: undefined, text: "" };
  if (typeof value !== "string") return { kind: kindOf(value), text: preview(value, CELL_LENGTH) };
  if (column.kind === "time") return { kind: "time", text: value };
  const text = cut(value, CELL_LENGTH);
  const [kind, shown] = column.kind === "json" ? (["string", quoted(text)] as const) : (["text", text] as const);
  if (column.path === "company_id" && text === value) return { kind: "company", text };
  if (text === value) return { kind, text: shown };
  return { kind, text: `${kind === "string" ? shown.slice(0, -1) : shown}…`, length: value.length };
}

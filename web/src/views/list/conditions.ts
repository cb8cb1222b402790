// Filters as the builder shows them: groups that must all hold, of conditions of which one must hold. That is what the
// language writes without parentheses, because OR binds tighter than AND.

import { kindAt, typedPath, type Field, type FieldKind } from "../../api/fields";
import { NUMBER, parseFilter, quotedString, type Comparison, type Filter, type Operator } from "../../api/filter";
import { pathText } from "../../api/paths";

/** `exists` is `:*`, `missing` is `= null`, `without` is `NOT path:value`. */
export type Relation = Operator | "exists" | "missing" | "without";

export type ValueType = "text" | "number" | "boolean" | "time";

export interface Condition {
  readonly path: string;
  readonly relation: Relation;
  readonly type: ValueType;
  readonly value: string;
}

export type Groups = readonly (readonly Condition[])[];

export const EMPTY: Condition = { path: "", relation: "=", type: "text", value: "" };

/** The types of the values that a kind of field compares with. */
export function typesOf(kind: FieldKind | undefined): readonly ValueType[] {
  switch (kind) {
    case "text":
      return ["text"];
    case "count":
      return ["number"];
    case "time":
      return ["time"];
    default:
      return ["text", "number", "boolean"];
  }
}

const WORDS: Readonly<Record<Relation, string>> = {
  "=": "is",
  "!=": "is not",
  ">": "is more than",
  ">=": "is at least",
  "<": "is less than",
  "<=": "is at most",
  ":": "is, or has the element,",
  without: "is not, nor has the element,",
  exists: "exists",
  missing: "does not exist",
};

const TIME_WORDS: Readonly<Partial<Record<Relation, string>>> = {
  ">": "is after",
  ">=": "is at or after",
  "<": "is before",
  "<=": "is at or before",
};

/** The relations that a field and a type allow, in words. */
export function relationsOf(kind: FieldKind | undefined, type: ValueType): readonly (readonly [Relation, string])[] {
  const ordered: readonly Relation[] = type === "boolean" ? ["=", "!="] : ["=", "!=", ">=", ">", "<=", "<"];
  const all: readonly Relation[] = [...ordered, ...(kind === undefined || kind === "json" ? ([":", "without"] as const) : []), "exists", "missing"];
  return all.map((relation) => [relation, (type === "time" && TIME_WORDS[relation]) || WORDS[relation]]);
}

export function needsValue(relation: Relation): boolean {
  return relation !== "exists" && relation !== "missing";
}

/** What is missing in a condition before a filter can have it; empty if nothing is. */
export function lack(fields: readonly Field[], { path, relation, type, value }: Condition): string {
  if (!path) return "Choose a field.";
  if (kindAt(fields, typedPath(path) ?? []) === undefined) return "There is no such field. Those of metadata begin with metadata.";
  if (!needsValue(relation)) return "";
  if (type === "number" && !NUMBER.test(value)) return "Type a number.";
  if (type === "time" && !value) return "Choose a time.";
  return "";
}

/** The filter of the conditions that lack nothing. */
export function filterText(fields: readonly Field[], groups: Groups): string {
  const whole = groups.map((group) => group.filter((each) => !lack(fields, each)).map(conditionText)).filter((group) => group.length > 0);
  // Parentheses are not needed. They are written for people who read OR as in most languages.
  return whole.map((group) => (group.length > 1 && whole.length > 1 ? `(${group.join(" OR ")})` : group.join(" OR "))).join(" AND ");
}

function conditionText({ path, relation, type, value }: Condition): string {
  if (relation === "exists") return `${path}:*`;
  if (relation === "missing") return `${path} = null`;
  const literal = type === "number" ? value : type === "boolean" ? value || "true" : quotedString(value);
  if (relation === "without") return `NOT ${path}:${literal}`;
  return relation === ":" ? `${path}:${literal}` : `${path} ${relation} ${literal}`;
}

/** The groups of a filter; undefined where it says what they cannot show. */
export function groupsOf(fields: readonly Field[], text: string): Groups | undefined {
  const tree = parseFilter(text);
  if (tree === null) return [];
  if (tree === undefined) return undefined;
  const groups = (tree.kind === "and" ? tree.of : [tree]).map((part) => (part.kind === "or" ? part.of : [part]).map((each) => conditionOf(fields, each)));
  return groups.every((group) => group.every((each) => each !== undefined)) ? (groups as Condition[][]) : undefined;
}

function conditionOf(fields: readonly Field[], tree: Filter): Condition | undefined {
  if (tree.kind === "comparison") return ofComparison(fields, tree, tree.operator);
  if (tree.kind !== "not" || tree.of.kind !== "comparison") return undefined;
  const { value, operator } = tree.of;
  if (value.type === "any") return ofComparison(fields, { ...tree.of, value: { type: "null" } }, "=");
  if (operator === "=" || operator === "!=") return ofComparison(fields, tree.of, operator === "=" ? "!=" : "=");
  return operator === ":" ? ofComparison(fields, tree.of, "without") : undefined;
}

function ofComparison(fields: readonly Field[], { path, value }: Comparison, relation: Relation): Condition | undefined {
  const field = kindAt(fields, path);
  const condition = { path: pathText(path), type: "text", value: "" } as const;
  switch (value.type) {
    case "any":
      return { ...condition, relation: "exists" };
    case "null":
      if (relation === "=" || relation === "!=") return { ...condition, relation: relation === "=" ? "missing" : "exists" };
      return undefined;
    case "true":
    case "false":
      return { ...condition, relation, type: "boolean", value: value.type };
    case "number":
      return { ...condition, relation, type: "number", value: value.text };
    case "string":
      return { ...condition, relation, type: field === "time" ? "time" : "text", value: value.text };
  }
}

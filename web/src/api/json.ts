import type { Path } from "./paths";
import type { Json, JsonObject } from "./types";

export type Kind = "string" | "number" | "boolean" | "null" | "array" | "object";

export function kindOf(value: Json): Kind {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return typeof value as Kind;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value of an own key: a profile may have the keys `__proto__` and `constructor`. */
export function member(value: Json | undefined, key: string | number): Json | undefined {
  if (Array.isArray(value)) return typeof key === "number" ? value[key] : undefined;
  return isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

export function valueAt(value: Json | undefined, path: Path): Json | undefined {
  return path.reduce<Json | undefined>(member, value);
}

/** A copy of an object with one member set, or removed where the value is undefined. The order of the others stays. */
export function withMember(object: JsonObject, key: string, value: Json | undefined): JsonObject {
  const others = Object.entries(object).filter(([each]) => value !== undefined || each !== key);
  // Assigning to `__proto__` would set the prototype.
  const copy = Object.fromEntries(others) as JsonObject;
  if (value !== undefined) Object.defineProperty(copy, key, { value, enumerable: true, configurable: true, writable: true });
  return copy;
}

/** A copy of a value with another one at a path. Objects on the way are made; undefined removes the key. */
export function withValueAt(root: Json | undefined, path: Path, value: Json | undefined): Json | undefined {
  const [key, ...rest] = path;
  if (key === undefined) return value;
  const inner = withValueAt(member(root, key), rest, value);
  if (typeof key === "number") {
    const copy = Array.isArray(root) ? [...root] : [];
    if (inner === undefined) copy.splice(key, 1);
    else copy[key] = inner;
    return copy;
  }
  return withMember(isObject(root) ? root : {}, key, inner);
}

/** Whether two values are the same JSON, whatever the order of their keys. */
export function isEqual(one: Json | undefined, other: Json | undefined): boolean {
  if (Object.is(one, other)) return true;
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((each, index) => isEqual(each, other[index]));
  }
  if (!isObject(one) || !isObject(other)) return false;
  const keys = Object.keys(one);
  return keys.length === Object.keys(other).length && keys.every((key) => Object.hasOwn(other, key) && isEqual(one[key], other[key]));
}

/** The number of values inside of an object or an array, at all levels. */
export function countValues(value: Json | undefined): number {
  let count = 0;
  for (const inner of Array.isArray(value) ? value : isObject(value) ? Object.values(value) : []) count += 1 + countValues(inner);
  return count;
}

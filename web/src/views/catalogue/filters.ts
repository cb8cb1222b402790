import type { MetadataPath } from "../../api/types";

// A comparison holds for values of its own type alone: this is how a filter finds a type.
const LOWEST = "-1.7976931348623157e308";

/** The filter for the users with a value at a path. */
export function having(path: string): string {
  return `${path}:*`;
}

/** The filters for the users with each type of value at a path. They cannot tell objects from arrays. */
export function byType({ path, types }: MetadataPath): [label: string, filter: string][] {
  const kinds: readonly (readonly [type: RegExp, label: string, filter: string])[] = [
    [/^string$/, "strings", `${path} >= ""`],
    [/^number$/, "numbers", `${path} >= ${LOWEST}`],
    [/^boolean$/, "booleans", `(${path} = true OR ${path} = false)`],
    [/object|array/, "objects or arrays", `${path}:* AND NOT (${path} >= "" OR ${path} >= ${LOWEST} OR ${path} = true OR ${path} = false)`],
  ];
  return kinds.filter(([type]) => types.some((each) => type.test(each.type))).map(([, label, filter]) => [label, filter]);
}

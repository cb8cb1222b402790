import { isObject } from "../../api/json";
import type { JsonObject } from "../../api/types";

/** How many values an object gets from another one that it lacks, at any depth, and of how many it keeps its own. */
export function filled(target: JsonObject, source: JsonObject): { added: number; kept: number } {
  let [added, kept] = [0, 0];
  for (const [key, value] of Object.entries(source)) {
    const own = Object.hasOwn(target, key) ? target[key] : undefined;
    if (isObject(value) && (own === undefined || isObject(own))) {
      const inner = filled(own ?? {}, value);
      added += inner.added;
      kept += inner.kept;
    } else if (own === undefined) added += 1;
    else kept += 1;
  }
  return { added, kept };
}

import type { Refusal } from "../../api/types";

export type Order = "recent" | "frequent";

/** Refusals, or warnings, of one client library with one reason. */
export interface ReasonGroup {
  readonly reason: string;
  readonly refusals: readonly Refusal[];
}

export interface LibraryGroup {
  /** The client library. */
  readonly client: string;
  readonly count: number;
  readonly reasons: readonly ReasonGroup[];
}

/** The name of a client library, as people read it. */
export function libraryName(library: string): string {
  if (library === "") return "No library named";
  return library === "other" ? "Another library" : library.replace("/", " ");
}

/** Refusals by library, and those of each by reason, in an order that holds for all levels. */
export function groupRefusals(refusals: readonly Refusal[], order: Order): LibraryGroup[] {
  const sorted = [...refusals].sort(order === "recent" ? byTime : byCount);
  const groups = [...by(sorted, ({ client_library: client }) => client)].map(([client, own]) => ({
    client,
    count: total(own),
    reasons: [...by(own, ({ reason }) => reason)].map(([reason, same]) => ({ reason, refusals: same })),
  }));
  if (order === "recent") return groups;
  const sums = groups.map((group) => ({
    ...group,
    reasons: group.reasons.toSorted((one, other) => total(other.refusals) - total(one.refusals)),
  }));
  return sums.sort((one, other) => other.count - one.count);
}

export function total(refusals: readonly Refusal[]): number {
  return refusals.reduce((sum, { count }) => sum + Number(count), 0);
}

function byTime(one: Refusal, other: Refusal): number {
  return Date.parse(other.last_time) - Date.parse(one.last_time);
}

function byCount(one: Refusal, other: Refusal): number {
  return Number(other.count) - Number(one.count) || byTime(one, other);
}

function by(refusals: readonly Refusal[], key: (refusal: Refusal) => string): Map<string, Refusal[]> {
  const groups = new Map<string, Refusal[]>();
  for (const refusal of refusals) {
    const group = groups.get(key(refusal));
    if (group) group.push(refusal);
    else groups.set(key(refusal), [refusal]);
  }
  return groups;
}

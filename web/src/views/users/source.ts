// Which users a list shows: what the fragment of the URL says, and the requests that return them.

import { comparisonText } from "../../api/filter";
import { several } from "../../api/privacy";
import type { User, UsersPage } from "../../api/types";
import { api } from "../../state/session";

export type Order = "created_time desc" | "created_time" | "modified_time desc" | "modified_time" | "user_id" | "user_id desc";

export const ORDERS: readonly (readonly [Order, string])[] = [
  ["created_time desc", "Newest first"],
  ["created_time", "Oldest first"],
  ["modified_time desc", "Last modified first"],
  ["modified_time", "Last modified last"],
  ["user_id", "By id"],
  ["user_id desc", "By id, backwards"],
];

const FIRST_ORDER: Order = "created_time desc";

export type LookupField = "company_id" | "email" | "anonymous_id";

export type Source =
  | { readonly kind: "filter"; readonly filter: string; readonly order: Order }
  | { readonly kind: "lookup"; readonly by: LookupField; readonly value: string }
  | { readonly kind: "beginning"; readonly text: string };

/** The parameters of the fragment for look-ups. */
const LOOKUPS: readonly (readonly [string, LookupField])[] = [
  ["company", "company_id"],
  ["email", "email"],
  ["anonymous", "anonymous_id"],
];

export function sourceOf(query: Readonly<Record<string, string>>): Source {
  for (const [parameter, by] of LOOKUPS) {
    const value = query[parameter];
    if (value) return { kind: "lookup", by, value };
  }
  if (query["beginning"]) return { kind: "beginning", text: query["beginning"] };
  const order = ORDERS.find(([each]) => each === query["order"])?.[0] ?? FIRST_ORDER;
  return { kind: "filter", filter: query["filter"] ?? "", order };
}

/** The parameters of the fragment that name a source. */
export function queryOf(source: Source): Record<string, string | undefined> {
  switch (source.kind) {
    case "filter":
      return { filter: source.filter.trim(), order: source.order === FIRST_ORDER ? undefined : source.order };
    case "lookup":
      return { [LOOKUPS.find(([, by]) => by === source.by)?.[0] ?? ""]: source.value };
    case "beginning":
      return { beginning: source.text };
  }
}

/** The filter that the same users match; undefined where there is none that an index serves. */
export function filterOf(source: Source): string | undefined {
  switch (source.kind) {
    case "filter":
      return source.filter;
    case "lookup":
      return source.by === "email" ? undefined : comparisonText([source.by], "=", source.value);
    case "beginning":
      return undefined;
  }
}

export const PAGE_SIZE = 100;

/** The number of users with a beginning that are shown: as many as are suggested at most. */
export const BEGINNING_SIZE = 50;

/** One page. `fields` are those that are needed; what returns whole profiles returns more. Throws ApiError. */
export async function fetchPage(source: Source, fields: readonly string[], pageToken: string): Promise<UsersPage> {
  switch (source.kind) {
    case "filter": {
      const body = { filter: source.filter, order_by: source.order, page_size: PAGE_SIZE, page_token: pageToken, fields };
      return api().send<UsersPage>("POST", "v1/users:search", { body });
    }
    case "lookup":
      return api().send<UsersPage>("POST", "v1/users:lookup", { body: { [source.by]: source.value, page_size: PAGE_SIZE, page_token: pageToken } });
    case "beginning":
      return { users: await usersBeginning(source.text) };
  }
}

interface Suggestions {
  suggestions?: { user: User }[];
}

async function usersBeginning(text: string): Promise<User[]> {
  const { suggestions = [] } = await api().send<Suggestions>("POST", "v1/users:suggest", { body: { text, page_size: BEGINNING_SIZE } });
  if (suggestions.length === 0) return [];
  const ids = suggestions.map(({ user }) => user.user_id);
  const results = await several<{ user: User }>(api(), "v1/users:batchGet", { user_ids: ids });
  // A profile that is missing from the response was too large for it: what is suggested of it is shown.
  return suggestions.map(({ user }, index) => results[index]?.response?.user ?? user);
}

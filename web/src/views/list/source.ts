// Which profiles a list shows: what the fragment of the URL says, and the requests that return them.

import { comparisonText } from "../../api/filter";
import { USERS, type ProfileKind } from "../../api/kinds";
import { several } from "../../api/privacy";
import type { Profile, User } from "../../api/types";
import { href } from "../../state/router";
import { api } from "../../state/session";

const FIRST_ORDER = "created_time desc";

/** The orders of a list, as requests name them, and in words. */
export function ordersOf({ key }: ProfileKind): readonly (readonly [string, string])[] {
  return [
    [FIRST_ORDER, "Newest first"],
    ["created_time", "Oldest first"],
    ["modified_time desc", "Last modified first"],
    ["modified_time", "Last modified last"],
    [key, "By id"],
    [`${key} desc`, "By id, backwards"],
  ];
}

export type LookupField = "company_id" | "email" | "anonymous_id";

/** Look-ups, and the beginnings of ids and addresses, find users alone. */
export type Source = { readonly of: ProfileKind } & (
  | { readonly kind: "filter"; readonly filter: string; readonly order: string }
  | { readonly kind: "lookup"; readonly by: LookupField; readonly value: string }
  | { readonly kind: "beginning"; readonly text: string }
);

/** The parameters of the fragment for look-ups. */
const LOOKUPS: readonly (readonly [string, LookupField])[] = [
  ["company", "company_id"],
  ["email", "email"],
  ["anonymous", "anonymous_id"],
];

export function sourceOf(of: ProfileKind, query: Readonly<Record<string, string>>): Source {
  if (of === USERS) {
    for (const [parameter, by] of LOOKUPS) {
      const value = query[parameter];
      if (value) return { of, kind: "lookup", by, value };
    }
    if (query["beginning"]) return { of, kind: "beginning", text: query["beginning"] };
  }
  const order = ordersOf(of).find(([each]) => each === query["order"])?.[0] ?? FIRST_ORDER;
  return { of, kind: "filter", filter: query["filter"] ?? "", order };
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

/** The place of a source, which names it among others. */
export function placeOf(source: Source): string {
  return href([source.of.name], queryOf(source));
}

/** The filter that the same profiles match; undefined where there is none that an index serves. */
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

interface Page {
  readonly profiles: readonly Profile[];
  readonly next?: string | undefined;
}

/** One page. `fields` are those that are needed; what returns whole profiles returns more. Throws ApiError. */
export async function fetchPage(source: Source, fields: readonly string[], pageToken: string): Promise<Page> {
  switch (source.kind) {
    case "filter": {
      const body = { filter: source.filter, order_by: source.order, page_size: PAGE_SIZE, page_token: pageToken, fields };
      return requested(source.of, "search", body);
    }
    case "lookup":
      return requested(source.of, "lookup", { [source.by]: source.value, page_size: PAGE_SIZE, page_token: pageToken });
    case "beginning":
      return { profiles: await usersBeginning(source.text) };
  }
}

type Response = { readonly [name in ProfileKind["name"]]?: Profile[] } & { readonly next_page_token?: string };

async function requested({ name }: ProfileKind, verb: string, body: unknown): Promise<Page> {
  const response = await api().send<Response>("POST", `v1/${name}:${verb}`, { body });
  return { profiles: response[name] ?? [], next: response.next_page_token };
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

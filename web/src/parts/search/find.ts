// Finds users by what was typed. All of it is sent in the bodies of requests, which nothing logs.

import type { User, UsersPage } from "../../api/types";
import { href } from "../../state/router";
import { api } from "../../state/session";

export interface Suggestion {
  user: User;
  matched_field?: string;
}

const SUGGESTIONS = 8;

/** As long as an id, or what is suggested, may be. */
const ID_BYTES = 512;

const TOKEN_BYTES = 8192;

/** The users whose id or email address begins with a text. Throws ApiError. */
export async function suggest(text: string, signal: AbortSignal): Promise<readonly Suggestion[]> {
  if (!text || isLonger(text, ID_BYTES)) return [];
  const body = { text, page_size: SUGGESTIONS };
  const { suggestions = [] } = await api().send<{ suggestions?: Suggestion[] }>("POST", "v1/users:suggest", { body, signal });
  return suggestions;
}

/** The users who have a token. Throws ApiError. */
export async function usersOfToken(token: string, signal: AbortSignal): Promise<readonly User[]> {
  return isLonger(token, TOKEN_BYTES) ? [] : lookUp({ session_token: token }, signal);
}

/** What a text leads to: a place of the console, users to choose from, or nothing. */
export type Found = { readonly place: string } | { readonly users: readonly User[] };

/** The best guess of what a text means. Throws ApiError. */
export async function bestGuess(text: string, signal: AbortSignal): Promise<Found> {
  const suggestions = await suggest(text, signal);
  const exact = suggestions.find(({ user }) => user.user_id === text) ?? suggestions.find(({ user }) => emailOf(user).toLowerCase() === text.toLowerCase());
  const [only] = suggestions;
  if (exact && (exact.user.user_id === text || suggestions.length === 1)) return { place: placeOf(exact.user) };
  if (only && suggestions.length === 1) return { place: placeOf(only.user) };
  if (exact) return { place: href(["users"], { email: text }) };
  if (suggestions.length > 1) return { place: href(["users"], { beginning: text }) };
  const isId = !isLonger(text, ID_BYTES);
  const [company, visitor, token] = await Promise.all([
    isId ? lookUp({ company_id: text }, signal) : [],
    isId ? lookUp({ anonymous_id: text }, signal) : [],
    usersOfToken(text, signal),
  ]);
  if (company.length > 0) return { place: href(["users"], { company: text }) };
  if (visitor.length > 1) return { place: href(["users"], { anonymous: text }) };
  // A token is in no address: those who share it are shown where it was typed.
  return single([...visitor, ...token]);
}

/** Users to choose from; one user alone needs no choice. */
export function single(users: readonly User[]): Found {
  const [only] = users;
  return only && users.length === 1 ? { place: placeOf(only) } : { users };
}

export function placeOf(user: User): string {
  return href(["user", user.user_id]);
}

export function emailOf(user: User): string {
  const email = user.metadata?.["email"];
  return typeof email === "string" ? email.trim() : "";
}

export function nameOf({ metadata = {} }: User): string {
  const parts = [metadata["first_name"], metadata["last_name"]].filter((each) => typeof each === "string");
  return typeof metadata["name"] === "string" ? metadata["name"] : parts.join(" ");
}

async function lookUp(by: Readonly<Record<string, string>>, signal: AbortSignal): Promise<readonly User[]> {
  const { users = [] } = await api().send<UsersPage>("POST", "v1/users:lookup", { body: { ...by, page_size: SUGGESTIONS }, signal });
  return users;
}

function isLonger(text: string, bytes: number): boolean {
  return text.length > bytes || new TextEncoder().encode(text).length > bytes;
}

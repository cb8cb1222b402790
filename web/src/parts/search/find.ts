// Finds users, companies and visitors by what was typed. All of it is sent in the bodies of requests, which nothing logs.

import { ApiError } from "../../api/errors";
import { comparisonText, quotedString } from "../../api/filter";
import { COMPANIES, VISITORS } from "../../api/kinds";
import { findProfiles, getProfile } from "../../api/profiles";
import type { Profile, User, UsersPage } from "../../api/types";
import { href } from "../../state/router";
import { api, can } from "../../state/session";
import { companyPlace } from "../company-link";

interface Suggestion {
  user: User;
  matched_field?: string;
}

/** Those whose ids, or email addresses, begin with a text. */
export interface Suggestions {
  readonly users: readonly User[];
  readonly companies: readonly Profile[];
}

export const NO_SUGGESTIONS: Suggestions = { users: [], companies: [] };

const SUGGESTIONS = 8;
const SUGGESTED_COMPANIES = 3;

/** No id that begins with a text is after the text with this at its end. */
const LAST_CHARACTER = "\u{10ffff}";

/** As long as an id, or what is suggested, may be. */
const ID_BYTES = 512;

const TOKEN_BYTES = 8192;

/** The users whose id or email address, and the companies whose id, begins with a text. Throws ApiError. */
export async function suggest(text: string, signal: AbortSignal): Promise<Suggestions> {
  if (!text || isLonger(text, ID_BYTES)) return NO_SUGGESTIONS;
  const body = { text, page_size: SUGGESTIONS };
  const [{ suggestions = [] }, companies] = await Promise.all([
    api().send<{ suggestions?: Suggestion[] }>("POST", "v1/users:suggest", { body, signal }),
    companiesBeginning(text, signal),
  ]);
  return { users: suggestions.map(({ user }) => user), companies };
}

async function companiesBeginning(text: string, signal: AbortSignal): Promise<readonly Profile[]> {
  if (!can("read:companies")) return [];
  const filter = `company_id >= ${quotedString(text)} AND company_id < ${quotedString(text + LAST_CHARACTER)}`;
  return findProfiles(api(), COMPANIES, filter, SUGGESTED_COMPANIES, signal);
}

/** The users who have a token. Throws ApiError. */
export async function usersOfToken(token: string, signal: AbortSignal): Promise<readonly User[]> {
  return isLonger(token, TOKEN_BYTES) ? [] : lookUp({ session_token: token }, signal);
}

/** What a text leads to: a place of the console, users to choose from, or nothing. */
export type Found = { readonly place: string } | { readonly users: readonly User[] };

/** The best guess of what a text means. Throws ApiError. */
export async function bestGuess(text: string, signal: AbortSignal): Promise<Found> {
  const { users, companies } = await suggest(text, signal);
  const exact = users.find((user) => user.user_id === text) ?? users.find((user) => emailOf(user).toLowerCase() === text.toLowerCase());
  const [only] = users;
  if (exact && (exact.user_id === text || users.length === 1)) return { place: placeOf(exact) };
  if (companies.some((company) => company.company_id === text)) return { place: companyPlace(text) };
  if (only && users.length === 1) return { place: placeOf(only) };
  if (exact) return { place: href(["users"], { email: text }) };
  if (users.length > 1) return { place: href(["users"], { beginning: text }) };
  const [company] = companies;
  if (company?.company_id !== undefined && companies.length === 1) return { place: companyPlace(company.company_id) };
  if (isLonger(text, ID_BYTES)) return single(await usersOfToken(text, signal));
  const [ofCompany, ofVisitor, visitor, ofDomain, ofToken] = await Promise.all([
    lookUp({ company_id: text }, signal),
    lookUp({ anonymous_id: text }, signal),
    getProfile(api(), VISITORS, text, signal),
    companiesOfDomain(text, signal),
    usersOfToken(text, signal),
  ]);
  if (ofCompany.length > 0) return { place: companyPlace(text) };
  if (ofVisitor.length > 1) return { place: href(["users"], { anonymous: text }) };
  if (visitor && ofVisitor.length === 0) return { place: href([VISITORS.one, text]) };
  const [first] = ofDomain;
  if (first?.company_id !== undefined) return { place: ofDomain.length === 1 ? companyPlace(first.company_id) : placeOfDomain(text) };
  // A token is in no address: those who share it are shown where it was typed.
  return single([...ofVisitor, ...ofToken]);
}

/** Users to choose from; one user alone needs no choice. */
export function single(users: readonly User[]): Found {
  const [only] = users;
  return only && users.length === 1 ? { place: placeOf(only) } : { users };
}

/** Whether a text can be the domain of a company. */
export function isDomain(text: string): boolean {
  return /^[^\s@/:]+\.[^\s@/:.]+$/.test(text);
}

/** The list of the companies with a domain. */
export function placeOfDomain(domain: string): string {
  return href([COMPANIES.name], { filter: comparisonText(["company_domain"], "=", domain) });
}

async function companiesOfDomain(text: string, signal: AbortSignal): Promise<readonly Profile[]> {
  if (!isDomain(text) || !can("read:companies")) return [];
  try {
    return await findProfiles(api(), COMPANIES, comparisonText(["company_domain"], "=", text), 2, signal);
  } catch (error) {
    // Among very many companies, their ids alone are found quickly.
    if (error instanceof ApiError && error.reason === "QUERY_TOO_SLOW") return [];
    throw error;
  }
}

export function placeOf(user: User): string {
  return href(["user", user.user_id]);
}

export function emailOf(user: Profile): string {
  const email = user.metadata?.["email"];
  return typeof email === "string" ? email.trim() : "";
}

export function nameOf({ metadata = {} }: Profile): string {
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

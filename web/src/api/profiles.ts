import type { Client } from "./client";
import { comparisonText } from "./filter";
import { USERS, type ProfileKind } from "./kinds";
import { several } from "./privacy";
import type { Profile, User } from "./types";

/** How the company of a user was found. */
export type CompanyMatch = "COMPANY_ID" | "COMPANY_DOMAIN";

export interface CompanyOfUser {
  company: Profile;
  match: CompanyMatch;
}

interface GotUser {
  user: User;
  company?: Profile;
  company_match?: CompanyMatch;
  followed_user_id?: string;
}

/** A user, with what belongs to the user beside the profile. */
export interface WholeUser {
  readonly user: User;
  /** The id that was asked for, where it leads to this user, who has another one. */
  readonly followed: string | undefined;
  /** Undefined where there is none, or the token may not read companies. */
  readonly company: CompanyOfUser | undefined;
}

/** The profile of one user, or null where nothing is stored. The id is in the body, so any id works. */
export async function getUser(client: Client, userId: string, signal?: AbortSignal): Promise<User | null> {
  return (await gotUser(client, userId, false, signal))?.user ?? null;
}

/** A user with the company, if the token may read companies; null where nothing is stored of the user. */
export async function getWholeUser(client: Client, userId: string, readsCompanies: boolean, signal?: AbortSignal): Promise<WholeUser | null> {
  const got = await gotUser(client, userId, readsCompanies, signal);
  if (!got) return null;
  const { user, company, company_match: match, followed_user_id: followed } = got;
  return { user, followed, company: company && match && { company, match } };
}

async function gotUser(client: Client, userId: string, includeCompany: boolean, signal?: AbortSignal): Promise<GotUser | undefined> {
  const body = { user_ids: [userId], include_company: includeCompany };
  const [result] = await several<GotUser>(client, "v1/users:batchGet", body, signal);
  if (result?.error && result.error.reason !== "USER_NOT_FOUND") throw result.error;
  return result?.response;
}

type Found = { readonly [name in ProfileKind["name"]]?: Profile[] };

/** The profiles of a kind that a filter matches: at most a page, in the order of their keys. The filter is in the body. */
export async function findProfiles(client: Client, of: ProfileKind, filter: string, pageSize: number, signal?: AbortSignal): Promise<readonly Profile[]> {
  const body = { filter, page_size: pageSize, order_by: of.key };
  return (await client.send<Found>("POST", `v1/${of.name}:search`, { body, signal }))[of.name] ?? [];
}

/** The profile of one company or visitor, or null where nothing is stored. */
export async function getProfile(client: Client, of: ProfileKind, id: string, signal?: AbortSignal): Promise<Profile | null> {
  const [found] = await findProfiles(client, of, comparisonText([of.key], "=", id), 1, signal);
  return found ?? null;
}

/** The users whose profiles name an anonymous id. */
export async function usersOfVisitor(client: Client, anonymousId: string, signal?: AbortSignal): Promise<readonly User[]> {
  const { users = [] } = await client.send<{ users?: User[] }>("POST", "v1/users:lookup", { body: { anonymous_id: anonymousId }, signal });
  return users;
}

/** The number of users that a filter matches. */
export async function countUsers(client: Client, filter: string, signal?: AbortSignal): Promise<number> {
  const { count } = await client.send<{ count?: number | string }>("POST", `v1/${USERS.name}:count`, { body: { filter }, signal });
  return Number(count ?? 0);
}

/** Merge a user into another one, who stays. Returns whether the source was another user until now. */
export async function mergeUsers(client: Client, userId: string, sourceUserId: string): Promise<boolean> {
  const body = { user_id: userId, source_user_id: sourceUserId };
  return (await client.send<{ merged?: boolean }>("POST", "v1/users:merge", { body })).merged ?? false;
}

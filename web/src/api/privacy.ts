import type { Client } from "./client";
import { ApiError, errorFromResponse } from "./errors";
import type { ProfileKind } from "./kinds";
import type { Status, User } from "./types";

export interface UserExport {
  user: User;
  alias_digests?: string[];
  visitors?: { visitor: User; alias_digests?: string[] }[];
}

export interface Suppression {
  user_id_digest: string;
  start_time?: string;
  end_time: string;
}

export interface Deletion {
  deleted?: boolean;
  alias_count?: number;
  visitor_count?: number;
  pointer_count?: number;
}

/** The result of one of several users: what was asked for, or why it was refused. */
export type Result<T> = { response: T; error?: undefined } | { response?: undefined; error: ApiError };

/** The limit of ids in one request. */
const IDS = 1000;

/** Everything that is stored about users, in the order of the ids. */
export async function exportUsers(client: Client, userIds: readonly string[]): Promise<Result<UserExport>[]> {
  const results: Result<UserExport>[] = [];
  // A response ends where it would become too large: what is missing is asked for again.
  while (results.length < userIds.length) {
    const part = await several<{ user_export: UserExport }>(client, "v1/users:batchExport", {
      user_ids: userIds.slice(results.length, results.length + IDS),
    });
    const end = part.findIndex((each, index) => index > 0 && each.error?.reason === "RESPONSE_TOO_LARGE");
    for (const each of end < 0 ? part : part.slice(0, end)) {
      results.push(each.response ? { response: each.response.user_export } : each);
    }
  }
  return results;
}

/** Erase users or, with `validateOnly`, say what would be gone. */
export async function eraseUsers(
  client: Client,
  userIds: readonly string[],
  suppressDays: number,
  validateOnly: boolean,
): Promise<Result<Deletion>[]> {
  const results: Result<Deletion>[] = [];
  for (let start = 0; start < userIds.length; start += IDS) {
    const body = { user_ids: userIds.slice(start, start + IDS), suppress_days: suppressDays, validate_only: validateOnly };
    results.push(...(await several<Deletion>(client, "v1/users:batchDelete", body)));
  }
  return results;
}

/** Everything that is stored about one company or visitor. */
export async function exportProfile(client: Client, of: ProfileKind, id: string): Promise<unknown> {
  return client.send("POST", `v1/${of.name}:export`, { body: { [of.key]: id } });
}

/** Erase one company or visitor or, with `validateOnly`, say what would be gone. */
export async function eraseProfile(client: Client, of: ProfileKind, id: string, validateOnly: boolean): Promise<Deletion> {
  return client.send<Deletion>("POST", `v1/${of.name}:delete`, { body: { [of.key]: id, validate_only: validateOnly } });
}

/** The results of a method that takes several users. */
export async function several<T>(client: Client, path: string, body: unknown, signal?: AbortSignal): Promise<Result<T>[]> {
  const options = { body, signal };
  const { results } = await client.send<{ results: ({ response: T } | { error: Status })[] }>("POST", path, options);
  return results.map((each) => ("response" in each ? each : { error: errorFromResponse(0, "", each.error) }));
}

/** The suppression of one user, if there is one. */
export async function suppressionOf(client: Client, userId: string, signal?: AbortSignal): Promise<Suppression | undefined> {
  const options = { body: { user_id: userId }, signal };
  const { suppressions } = await client.send<{ suppressions: Suppression[] }>("POST", "v1/suppressions:search", options);
  return suppressions[0];
}

export interface SuppressionsPage {
  suppressions: Suppression[];
  next_page_token?: string;
}

export async function listSuppressions(client: Client, pageToken: string, signal?: AbortSignal): Promise<SuppressionsPage> {
  const options = { body: { page_size: 50, page_token: pageToken }, signal };
  return client.send<SuppressionsPage>("POST", "v1/suppressions:search", options);
}

export async function liftSuppression(client: Client, userId: string): Promise<boolean> {
  const { lifted } = await client.send<{ lifted?: boolean }>("POST", "v1/suppressions:lift", { body: { user_id: userId } });
  return lifted ?? false;
}

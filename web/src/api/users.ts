import type { Client } from "./client";
import { several } from "./privacy";
import type { User } from "./types";

/** The profile of one user, or null where nothing is stored. The id is in the body, so any id works. */
export async function getUser(client: Client, userId: string, signal?: AbortSignal): Promise<User | null> {
  const [result] = await several<{ user: User }>(client, "v1/users:batchGet", { user_ids: [userId] }, signal);
  if (result?.error && result.error.reason !== "USER_NOT_FOUND") throw result.error;
  return result?.response?.user ?? null;
}

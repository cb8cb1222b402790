import type { Client } from "./client";
import { several } from "./privacy";
import type { JsonObject, User, Warning } from "./types";

export interface UpdateResult {
  warnings?: Warning[];
  suppressed?: boolean;
  /** Of a dry run alone: the profile as it would be, and where it would differ. */
  user?: User;
  changed_paths?: string[];
}

/** Send an update or, with `validateOnly`, ask what it would do. */
export async function sendUpdate(client: Client, update: JsonObject, validateOnly: boolean, signal?: AbortSignal): Promise<UpdateResult> {
  const query = validateOnly ? { validate_only: true } : {};
  return (await client.send<UpdateResult | null>("POST", "v1/users", { query, body: update, signal })) ?? {};
}

/** Remove a session token of a user. Returns whether the user had it. */
export async function removeToken(client: Client, userId: string, token: string): Promise<boolean> {
  // The form of several users takes any id.
  const body = { requests: [{ user_id: userId, session_token: token }] };
  const [result] = await several<{ removed?: boolean }>(client, "v1/users:batchRemoveAliases", body);
  if (result?.error) throw result.error;
  return result?.response?.removed ?? false;
}

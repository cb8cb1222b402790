import { batch, computed, signal } from "@preact/signals";
import { Client } from "../api/client";
import type { ApiError } from "../api/errors";
import { noteOutage } from "./outage";

/** What the API says about the token of the session. */
export interface Identity {
  credential_id: string;
  display_name: string;
  scopes: readonly string[];
  expire_time?: string;
  application_id: string;
  application_name: string;
}

/** Where tokens are in memory only: closing or loading the page again ends the session. */
interface Session {
  readonly client: Client;
  readonly identity: Identity;
}

export const session = signal<Session | null>(null);

/** Why the last session ended, if it was not by the person. */
export const ended = signal("");

const scopes = computed(() => new Set(session.value?.identity.scopes ?? []));

/** Whether the token allows what needs a scope. `admin` allows all. */
export function can(scope: string): boolean {
  return scopes.value.has("admin") || scopes.value.has(scope);
}

/** The client of the session. Views that use it are shown in a session only. */
export function api(): Client {
  if (!session.value) throw new Error("no session");
  return session.value.client;
}

interface CurrentCredential {
  credential: { credential_id: string; display_name?: string; scopes?: string[]; expire_time?: string };
  application: { application_id: string; display_name?: string };
}

/** Begin a session. Throws ApiError. */
export async function signIn(token: string): Promise<void> {
  const { credential, application } = await new Client(token).send<CurrentCredential>("GET", "v1/credentials:current");
  const identity: Identity = {
    credential_id: credential.credential_id,
    display_name: credential.display_name || credential.credential_id,
    scopes: credential.scopes ?? [],
    application_id: application.application_id,
    application_name: application.display_name || application.application_id,
  };
  if (credential.expire_time) identity.expire_time = credential.expire_time;
  batch(() => {
    ended.value = "";
    session.value = { client: new Client(token, note), identity };
  });
}

/** End the session: the token is forgotten. */
export function signOut(why = ""): void {
  batch(() => {
    ended.value = why;
    session.value = null;
  });
}

function note(error: ApiError): void {
  if (error.isOutage) noteOutage();
  if (error.httpStatus === 401) signOut("The token is not valid any more: it was revoked, or it has expired.");
}

/** Show a new name of the application. */
export function rename(name: string): void {
  const now = session.value;
  if (now) session.value = { ...now, identity: { ...now.identity, application_name: name } };
}

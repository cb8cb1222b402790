import type { Client } from "./client";

export interface Application {
  application_id: string;
  display_name?: string;
  created_time?: string;
}

export interface Credential {
  credential_id: string;
  display_name?: string;
  /** `collector_key` or `management_token`. */
  kind: string;
  scopes?: string[];
  created_time?: string;
  expire_time?: string;
  last_used_time?: string;
}

/** A new secret: it is in the response that creates it and in no other. */
export interface WithSecret {
  credential: Credential;
  secret: string;
}

export interface NewCredential {
  display_name: string;
  kind: string;
  scopes: readonly string[];
  expire_time?: string;
}

export async function getApplication(client: Client, signal?: AbortSignal): Promise<Application> {
  return client.send<Application>("GET", "v1/application", { signal });
}

export async function renameApplication(client: Client, displayName: string): Promise<void> {
  await client.send("POST", "v1/application:rename", { body: { display_name: displayName } });
}

export interface NewApplication {
  application: Application;
  collector_key: WithSecret;
  management_token: WithSecret;
}

export async function createApplication(client: Client, displayName: string): Promise<NewApplication> {
  return client.send<NewApplication>("POST", "v1/applications", { body: { display_name: displayName } });
}

export interface Counts {
  [what: string]: number | string;
}

/** Delete the application of the session with all its data or, with `validateOnly`, count what would be gone. */
export async function deleteApplication(client: Client, applicationId: string, validateOnly: boolean): Promise<Counts> {
  return client.send<Counts>("POST", "v1/application:delete", {
    body: { application_id: applicationId, validate_only: validateOnly },
  });
}

export async function listCredentials(client: Client, signal?: AbortSignal): Promise<Credential[]> {
  const { credentials } = await client.send<{ credentials?: Credential[] }>("GET", "v1/credentials", { signal });
  return credentials ?? [];
}

export async function createCredential(client: Client, credential: NewCredential): Promise<WithSecret> {
  return client.send<WithSecret>("POST", "v1/credentials", { body: credential });
}

/** Make a new secret with the same name, kind and scopes. The old one is valid for so many hours more. */
export async function rotateCredential(client: Client, credentialId: string, overlapHours: number): Promise<WithSecret> {
  return client.send<WithSecret>("POST", `v1/credentials/${encodeURIComponent(credentialId)}:rotate`, {
    body: { overlap_hours: overlapHours },
  });
}

/** End a credential for good. `isOwn`: it is that of the session, which ends with it. */
export async function revokeCredential(client: Client, credentialId: string, isOwn: boolean): Promise<void> {
  await client.send("POST", `v1/credentials/${encodeURIComponent(credentialId)}:revoke`, { body: { allow_self: isOwn } });
}

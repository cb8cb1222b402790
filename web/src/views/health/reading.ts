import { ApiError } from "../../api/errors";
import type { ServerStatus } from "../../api/types";
import { api } from "../../state/session";

/** What one look at Userfold has found. Without a status, `error` says why there is none. */
export interface Reading {
  /** Why no request can be served, as the gateway says; empty if one can. Undefined: the gateway does not answer. */
  readonly fault: string | undefined;
  readonly status: ServerStatus | undefined;
  readonly error: ApiError | undefined;
  /** When it was taken, in milliseconds, by the clock of the browser. */
  readonly time: number;
}

/** Look at Userfold. No answer is a finding, too. */
export async function read(signal: AbortSignal): Promise<Reading> {
  const [fault, [status, error]] = await Promise.all([faultNow(signal), statusNow(signal)]);
  return { fault, status, error, time: Date.now() };
}

async function statusNow(signal: AbortSignal): Promise<[ServerStatus | undefined, ApiError | undefined]> {
  try {
    return [await api().send<ServerStatus>("GET", "v1/status", { signal }), undefined];
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return [undefined, error];
  }
}

async function faultNow(signal: AbortSignal): Promise<string | undefined> {
  try {
    const response = await fetch(new URL("readyz", document.baseURI), { cache: "no-store", credentials: "omit", signal });
    return response.ok ? "" : String(((await response.json()) as { status?: string }).status);
  } catch (error) {
    if (signal.aborted) throw error;
    return undefined;
  }
}

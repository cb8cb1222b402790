import { signal } from "@preact/signals";
import { ApiError } from "../api/errors";

/** Whether Userfold, or the database behind it, does not answer. */
export const outage = signal(false);

/** Counts the ends of outages: what failed during one is loaded again. */
export const recoveries = signal(0);

const POLL_MILLISECONDS = 1000;

/** A request found no answer: ask for readiness until there is one. */
export function noteOutage(): void {
  if (outage.value) return;
  outage.value = true;
  setTimeout(poll, POLL_MILLISECONDS);
}

/** Note an outage, and throw an ApiError, if Userfold does not answer at the moment. */
export async function requireAnswer(): Promise<void> {
  if (await isReady()) return;
  noteOutage();
  throw new ApiError(0, "UNREACHABLE", "Userfold does not answer.", "");
}

async function poll(): Promise<void> {
  if (await isReady()) {
    outage.value = false;
    recoveries.value += 1;
  } else {
    setTimeout(poll, POLL_MILLISECONDS);
  }
}

async function isReady(): Promise<boolean> {
  try {
    return (await fetch(new URL("readyz", document.baseURI), { cache: "no-store", credentials: "omit" })).ok;
  } catch {
    return false;
  }
}

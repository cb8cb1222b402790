import { signal } from "@preact/signals";

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

async function poll(): Promise<void> {
  try {
    const response = await fetch(new URL("readyz", document.baseURI), { cache: "no-store", credentials: "omit" });
    if (response.ok) {
      outage.value = false;
      recoveries.value += 1;
      return;
    }
  } catch {
    // There is no answer yet.
  }
  setTimeout(poll, POLL_MILLISECONDS);
}

import { signal } from "@preact/signals";
import type { Refusal } from "../../api/types";
import { session } from "../../state/session";

// When the inbox was last read is kept in the browser, for each application: as the latest `last_time` that was there, so
// the clocks of the browser and the server need not agree.

/** Counts the changes of what was seen: the storage of a browser is no signal. */
const changes = signal(0);

/** The time, in milliseconds, of the latest refusal that was seen in this browser; 0 where the inbox was never opened. */
export function seenTime(): number {
  void changes.value;
  try {
    return Number(localStorage.getItem(key())) || 0;
  } catch {
    return 0;
  }
}

/** Everything in this list has been seen. */
export function markSeen(refusals: readonly Refusal[]): void {
  const latest = Math.max(1, ...refusals.map(({ last_time: time }) => Date.parse(time)));
  if (latest <= seenTime()) return;
  try {
    localStorage.setItem(key(), String(latest));
  } catch {
    // A browser without storage shows everything as new.
  }
  changes.value += 1;
}

/** Whether a kind happened after a time. */
export function isNew(refusal: Refusal, seen: number): boolean {
  return Date.parse(refusal.last_time) > seen;
}

function key(): string {
  return `userfold-inbox-seen-${session.value?.identity.application_id ?? ""}`;
}

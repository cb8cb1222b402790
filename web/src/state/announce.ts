import { signal } from "@preact/signals";

/** What screen readers say next: results of actions that change nothing near the focus. */
export const announcement = signal("");

export function announce(text: string): void {
  // The same text twice would not be a change.
  announcement.value = announcement.value === text ? `${text}\u00a0` : text;
}

// What this browser remembers of a person's lists, for each application. It never leaves the browser.

import { session } from "../../state/session";

export interface SavedFilter {
  readonly name: string;
  readonly filter: string;
  readonly order?: string | undefined;
  readonly columns?: string | undefined;
}

interface Memory {
  readonly columns?: readonly string[];
  readonly filters?: readonly SavedFilter[];
}

const key = () => `userfold.users.${session.value?.identity.application_id ?? ""}`;

/** What is remembered: nothing where the browser allows no storage, or holds what nobody can read. */
export function remembered(): Memory {
  try {
    const memory = JSON.parse(localStorage.getItem(key()) ?? "{}") as Memory | null;
    return {
      ...(Array.isArray(memory?.columns) && { columns: memory.columns.filter((each) => typeof each === "string") }),
      ...(Array.isArray(memory?.filters) && { filters: memory.filters.filter((each) => typeof each.name === "string" && typeof each.filter === "string") }),
    };
  } catch {
    return {};
  }
}

/** Whether the browser has kept it. */
export function remember(changes: Memory): boolean {
  try {
    localStorage.setItem(key(), JSON.stringify({ ...remembered(), ...changes }));
    return true;
  } catch {
    return false;
  }
}

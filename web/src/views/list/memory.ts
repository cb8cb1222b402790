// What this browser remembers of a person's lists, for each application. It never leaves the browser.

import type { ProfileKind } from "../../api/kinds";
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

const key = ({ name }: ProfileKind) => `userfold.${name}.${session.value?.identity.application_id ?? ""}`;

/** What is remembered: nothing where the browser allows no storage, or holds what nobody can read. */
export function remembered(of: ProfileKind): Memory {
  try {
    const memory = JSON.parse(localStorage.getItem(key(of)) ?? "{}") as Memory | null;
    return {
      ...(Array.isArray(memory?.columns) && { columns: memory.columns.filter((each) => typeof each === "string") }),
      ...(Array.isArray(memory?.filters) && { filters: memory.filters.filter((each) => typeof each.name === "string" && typeof each.filter === "string") }),
    };
  } catch {
    return {};
  }
}

/** Whether the browser has kept it. */
export function remember(of: ProfileKind, changes: Memory): boolean {
  try {
    localStorage.setItem(key(of), JSON.stringify({ ...remembered(of), ...changes }));
    return true;
  } catch {
    return false;
  }
}

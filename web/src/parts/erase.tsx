import { useState } from "preact/hooks";
import { eraseUsers, type Deletion, type Result } from "../api/privacy";
import { useResource } from "../state/resource";
import { api } from "../state/session";
import { Confirm } from "./confirm";
import { Loaded } from "./states";
import { counted, grouped } from "./text";

const DEFAULT_DAYS = 30;
const LONGEST_DAYS = 3650;

/** Asks before users are erased: what will be gone, and for how long their updates are dropped afterwards. */
export function Erase({
  userIds,
  typed,
  onClose,
  onDone,
}: {
  userIds: readonly string[];
  /** What must be typed to confirm. */
  typed: string;
  onClose: () => void;
  /** Gets a sentence that says what was done. */
  onDone: (report: string) => void;
}) {
  const [days, setDays] = useState(DEFAULT_DAYS);
  const count = () => eraseUsers(api(), userIds, 0, true);
  const preview = useResource(userIds.join("\0"), count);
  const run = async () => {
    // Whoever types quickly confirms before the numbers are there.
    const before = preview.data ?? (await count());
    onDone(reported(before, await eraseUsers(api(), userIds, days, false), days));
  };
  return (
    <Confirm title={userIds.length === 1 ? "Erase this user" : `Erase ${counted(userIds.length, "user")}`} id={typed} verb="Erase" run={run} onClose={onClose}>
      <Loaded resource={preview} rows={1}>
        {(results) => <p>{expected(results)}</p>}
      </Loaded>
      <label>
        Days for which later updates are dropped
        <input
          type="number"
          min={0}
          max={LONGEST_DAYS}
          value={days}
          onInput={(event) => setDays(Math.min(LONGEST_DAYS, Math.max(0, Math.trunc(event.currentTarget.valueAsNumber || 0))))}
        />
      </label>
      <p class="soft">
        {days > 0
          ? "Updates that clients still send do not bring the user back in that time."
          : "The next update creates the user anew."}
      </p>
    </Confirm>
  );
}

interface Numbers {
  readonly profiles: number;
  readonly aliases: number;
  readonly visitors: number;
  /** Ids of visitors and users who became a part of one. */
  readonly pointers: number;
  readonly refused: number;
}

function numbers(results: readonly Result<Deletion>[]): Numbers {
  const done = results.flatMap((each) => (each.response ? [each.response] : []));
  return {
    profiles: done.filter((each) => each.deleted).length,
    aliases: sum(done.map((each) => each.alias_count ?? 0)),
    visitors: sum(done.map((each) => each.visitor_count ?? 0)),
    pointers: sum(done.map((each) => each.pointer_count ?? 0)),
    refused: results.length - done.length,
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, each) => total + each, 0);
}

function what({ profiles, aliases, visitors, pointers }: Numbers): string {
  const ids = pointers > 0 ? `, with ${counted(pointers, "id that leads", "ids that lead")} there` : "";
  return `${counted(profiles, "profile")}, ${counted(aliases, "session token")} and ${counted(visitors, "visitor")}${ids}`;
}

function expected(results: readonly Result<Deletion>[]): string {
  const found = numbers(results);
  if (found.profiles + found.visitors === 0) return "Nothing is stored now. Erasing still drops later updates, if you say so below.";
  return `This removes ${what(found)} for good. Nothing brings them back, except a backup.`;
}

/** What was done. Only a dry run counts tokens and visitors. */
function reported(preview: readonly Result<Deletion>[], results: readonly Result<Deletion>[], days: number): string {
  const done = numbers(results);
  const parts = [`Erased: ${what({ ...numbers(preview), profiles: done.profiles })}.`];
  if (days > 0) parts.push(`Updates are dropped for ${counted(days, "day")}.`);
  if (done.refused > 0) parts.push(`${grouped(done.refused)} could not be erased: ${results.find((each) => each.error)?.error?.message ?? ""}`);
  return parts.join(" ");
}

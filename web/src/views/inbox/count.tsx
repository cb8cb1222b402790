import { useEffect, useState } from "preact/hooks";
import type { Refusal } from "../../api/types";
import { counted } from "../../parts/text";
import { usePolling } from "../../state/polling";
import { route } from "../../state/router";
import { api } from "../../state/session";
import { isNew, seenTime } from "./seen";

const POLL_MILLISECONDS = 30_000;

/** How many kinds of refusals happened since the inbox was last opened in this browser. Warnings do not count. */
export function InboxCount() {
  const [refusals, setRefusals] = useState<readonly Refusal[]>([]);
  const isOpen = route.value.view === "inbox";
  const load = () => {
    // The open inbox loads them itself.
    if (isOpen) return;
    listRefusals().then(setRefusals, () => {
      // There is a next time.
    });
  };
  useEffect(load, [isOpen]);
  usePolling(load, POLL_MILLISECONDS);
  const seen = seenTime();
  const count = isOpen ? 0 : refusals.filter((each) => !each.is_warning && isNew(each, seen)).length;
  // Its place is kept, so that nothing moves when the first count arrives.
  if (count === 0) return <span class="count" />;
  return (
    <span class="count" title={`${counted(count, "kind")} of refusals since you last opened the inbox`}>
      {count}
      <span class="hidden"> new</span>
    </span>
  );
}

export async function listRefusals(signal?: AbortSignal): Promise<Refusal[]> {
  return (await api().send<{ refusals: Refusal[] }>("GET", "v1/refusals", { signal })).refusals;
}

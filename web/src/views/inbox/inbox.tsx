import { useEffect, useState } from "preact/hooks";
import type { Refusal } from "../../api/types";
import { Choice } from "../../parts/choice";
import { PageHead } from "../../parts/page";
import { Empty, ErrorNote, Skeleton } from "../../parts/states";
import { counted } from "../../parts/text";
import { usePolling } from "../../state/polling";
import { replaceQuery, route } from "../../state/router";
import { useResource } from "../../state/resource";
import { loadAdvice } from "./advise";
import { listRefusals } from "./count";
import { groupRefusals, libraryName, type Order, total } from "./groups";
import { Library } from "./library";
import { markSeen, seenTime } from "./seen";
import "./inbox.css";

const POLL_MILLISECONDS = 5_000;

const KINDS = [
  ["all", "All"],
  ["refusals", "Refused"],
  ["warnings", "Warnings"],
] as const;

const ORDERS = [
  ["recent", "Most recent"],
  ["frequent", "Most frequent"],
] as const;

/** What clients send wrongly, and what to do about it. The page refreshes itself. */
export function InboxView() {
  const resource = useResource("", load);
  const { data, error, refresh } = resource;
  usePolling(refresh, POLL_MILLISECONDS);
  // What was new when the page was opened stays marked while it is open.
  const [seen] = useState(seenTime);
  useEffect(() => {
    if (data) markSeen(data);
  }, [data]);
  return (
    <>
      <PageHead
        title="Inbox"
        lead="What clients sent wrongly in the last 30 days, and what to do about it. Nothing here is a value that a client sent. New refusals appear after about four seconds."
      />
      {error && <ErrorNote error={error} retry={resource.reload} />}
      {data ? (
        data.length > 0 ? (
          <Refusals refusals={data} seen={seen} />
        ) : (
          <section>
            <Empty title="Nothing was refused in 30 days">
              <p>Requests that break a rule, and requests that are accepted with a warning, are listed here with what to do.</p>
            </Empty>
          </section>
        )
      ) : (
        !error && <Waiting />
      )}
    </>
  );
}

async function load(signal: AbortSignal): Promise<Refusal[]> {
  const [refusals] = await Promise.all([listRefusals(signal), loadAdvice()]);
  return refusals;
}

function Refusals({ refusals, seen }: { refusals: readonly Refusal[]; seen: number }) {
  const { library = "", reason = "", kind = "all", order = "recent" } = route.value.query;
  const chosen = refusals.filter(
    (each) => (!library || libraryName(each.client_library) === library) && (!reason || reasonsOf(each).includes(reason)),
  );
  const refused = kind === "warnings" ? [] : chosen.filter((each) => !each.is_warning);
  const warned = kind === "refusals" ? [] : chosen.filter((each) => each.is_warning);
  const present = ORDERS.find(([name]) => name === order)?.[0] ?? "recent";
  return (
    <>
      <div class="inbox-controls" role="group" aria-label="Filter">
        <Choice
          label="Kind"
          options={KINDS}
          chosen={KINDS.find(([name]) => name === kind)?.[0] ?? "all"}
          onChoose={(next) => replaceQuery({ kind: next === "all" ? undefined : next })}
        />
        <Select label="Client library" all="All libraries" name="library" chosen={library} options={refusals.map((each) => libraryName(each.client_library))} />
        <Select label="Reason" all="All reasons" name="reason" chosen={reason} options={refusals.flatMap(reasonsOf)} />
        <Choice
          label="Order"
          options={ORDERS}
          chosen={present}
          onChoose={(next) => replaceQuery({ order: next === "recent" ? undefined : next })}
        />
      </div>
      {refused.length + warned.length === 0 && (
        <section>
          <Empty title="Nothing matches">
            <button type="button" onClick={() => replaceQuery({ library: undefined, reason: undefined, kind: undefined })}>
              Show everything
            </button>
          </Empty>
        </section>
      )}
      <Kind title="Refused" says="Nothing of these requests, or items of batches, was stored." refusals={refused} order={present} seen={seen} />
      <Kind title="Warnings" says="These were accepted, and something in them was changed or ignored." refusals={warned} order={present} seen={seen} />
    </>
  );
}

function Kind({ title, says, refusals, order, seen }: { title: string; says: string; refusals: readonly Refusal[]; order: Order; seen: number }) {
  if (refusals.length === 0) return null;
  return (
    <>
      <h2 class="kind">
        {title}{" "}
        <small>
          {counted(refusals.length, "kind")}, {counted(total(refusals), "time")}. {says}
        </small>
      </h2>
      {groupRefusals(refusals, order).map((group) => (
        <Library key={group.client} group={group} seen={seen} />
      ))}
    </>
  );
}

function Select({ label, all, name, chosen, options }: { label: string; all: string; name: string; chosen: string; options: readonly string[] }) {
  // What was chosen stays, also where it has no refusals any more.
  const names = [...new Set(chosen ? [...options, chosen] : options)].sort();
  return (
    <select aria-label={label} value={chosen} onChange={(event) => replaceQuery({ [name]: event.currentTarget.value || undefined })}>
      <option value="">{all}</option>
      {names.map((each) => (
        <option key={each} value={each}>
          {each}
        </option>
      ))}
    </select>
  );
}

function reasonsOf({ reason, fields }: Refusal): string[] {
  return [reason, ...fields.map((each) => each.reason)];
}

function Waiting() {
  return (
    <>
      <div class="inbox-controls waiting" />
      <section>
        <Skeleton rows={6} />
      </section>
    </>
  );
}

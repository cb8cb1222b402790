import { useEffect, useState } from "preact/hooks";
import type { ServerStatus } from "../../api/types";
import { PageHead } from "../../parts/page";
import { Skeleton } from "../../parts/states";
import { Time } from "../../parts/time";
import { usePolling } from "../../state/polling";
import { useResource } from "../../state/resource";
import { findings } from "./findings";
import { type Reading, read } from "./reading";
import { Details } from "./details";
import "./health.css";

const POLL_MILLISECONDS = 3_000;

/** How Userfold is, in plain words. The page refreshes itself, also while nothing answers. */
export function HealthView() {
  const { data, refresh } = useResource("", read);
  usePolling(refresh, POLL_MILLISECONDS);
  return (
    <>
      <PageHead title="Health" lead="How Userfold is at this moment. The page refreshes itself every three seconds." />
      {data ? <Findings reading={data} /> : <Waiting />}
    </>
  );
}

function Findings({ reading }: { reading: Reading }) {
  const found = findings(reading);
  const [worst] = found;
  const isSilent = !reading.status;
  const [since, setSince] = useState<number>();
  const [known, setKnown] = useState<{ status: ServerStatus; time: number }>();
  useEffect(() => {
    setSince((before) => (isSilent ? (before ?? reading.time) : undefined));
    if (reading.status) setKnown({ status: reading.status, time: reading.time });
  }, [reading]);
  const shown = reading.status ?? known?.status;
  return (
    <>
      <div class={`note health ${worst?.level ?? "good"}`}>
        {/* Screen readers hear a change of what is wrong, and nothing of the numbers. */}
        <div role="status">
          {worst ? (
            found.map(({ says, toDo }) => (
              <p key={says}>
                <strong>{says}</strong> {toDo}
              </p>
            ))
          ) : (
            <p>
              <strong>All is well.</strong> Updates are stored, and everything that this server depends on answers.
            </p>
          )}
        </div>
        {isSilent && since !== undefined && (
          <p class="soft">
            Since <Time of={iso(since)} />.{known && <> The numbers below are the last that are known.</>} The page goes on by itself.
          </p>
        )}
      </div>
      {shown && <Details status={shown} />}
    </>
  );
}

function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

/** As tall as what is shown when all is well. */
function Waiting() {
  return (
    <>
      <div class="note health waiting" />
      <section>
        <Skeleton rows={8} />
      </section>
    </>
  );
}

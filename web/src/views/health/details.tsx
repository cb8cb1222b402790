import type { ServerStatus, Usage } from "../../api/types";
import { Bar } from "../../parts/bar";
import { Section } from "../../parts/page";
import { counted, grouped } from "../../parts/text";
import { Time } from "../../parts/time";
import { bytes, duration, memberName, seconds } from "./findings";

/** The numbers of one server, in words. */
export function Details({ status }: { status: ServerStatus }) {
  const { version, gateway_version: gateway, instance, start_time: started, is_ready: isReady, updates, database } = status;
  return (
    <>
      <dl class="facts">
        <div>
          <dt>Server</dt>
          <dd>
            <bdi>{instance || "without a name"}</bdi> <span class={isReady ? "badge good" : "badge bad"}>{isReady ? "ready" : "not ready"}</span>
          </dd>
        </div>
        <div>
          <dt>Started</dt>
          <dd>
            <Time of={started} />
          </dd>
        </div>
        <div>
          <dt>Versions</dt>
          <dd>
            {gateway === version ? `server and gateway ${version}` : `server ${version}${gateway && `, gateway ${gateway}`}`}
          </dd>
        </div>
        <div>
          <dt>Last update stored</dt>
          <dd>{updates.last_stored_time ? <Time of={updates.last_stored_time} /> : "none since it started"}</dd>
        </div>
      </dl>
      <Section title="Writes" note="in the last minute">
        <p class="inside">{writes(updates)}</p>
        <table>
          <thead>
            <tr>
              <th scope="col">Room</th>
              <th scope="col">Taken</th>
              <th scope="col" class="taken">
                <span class="hidden">Share</span>
              </th>
            </tr>
          </thead>
          <tbody>
            <Room name="Queue of updates" usage={updates.pending} says={`${grouped(updates.pending.used)} of ${grouped(updates.pending.limit)} places taken`} />
            <Room name="Their size" usage={updates.pending_bytes} says={`${bytes(updates.pending_bytes.used)} of ${bytes(updates.pending_bytes.limit)}`} />
            <Room name="Calls" usage={status.calls} says={`${grouped(status.calls.used)} of ${grouped(status.calls.limit)} at the same time`} />
            <Room name="Streams of clients" usage={status.streams} says={`${grouped(status.streams.used)} of ${grouped(status.streams.limit)}`} />
            <Room name="Streams of gateways" usage={status.gateway_streams} says={`${grouped(status.gateway_streams.used)} of ${grouped(status.gateway_streams.limit)}`} />
          </tbody>
        </table>
      </Section>
      <Section title="MongoDB" note={[database.version && `version ${database.version}`, database.replica_set && `replica set ${database.replica_set}`].filter(Boolean).join(", ")}>
        <table>
          <thead>
            <tr>
              <th scope="col">Member</th>
              <th scope="col">State</th>
              <th scope="col">Behind the primary</th>
            </tr>
          </thead>
          <tbody>
            {database.members.map(({ name, state, lag_seconds: lag }, index) => (
              <tr key={index}>
                <td>
                  <bdi>{memberName(name, index)}</bdi>
                </td>
                <td>
                  <span class={`badge ${state === "unreachable" || state === "other" ? "bad" : "good"}`}>{state}</span>
                </td>
                <td>{lag === undefined ? "–" : lag < 1 ? "less than a second" : seconds(lag)}</td>
              </tr>
            ))}
          </tbody>
        </table>
        <p class="inside migration">{migration(database)}</p>
      </Section>
      <p class="soft">
        These are the numbers of one server process, the one that answered. Where there are several, another may answer next: the
        metrics of each have all of them.
      </p>
    </>
  );
}

function Room({ name, usage, says }: { name: string; usage: Usage; says: string }) {
  return (
    <tr>
      <th scope="row">{name}</th>
      <td>{says}</td>
      <td class="taken">
        <Bar share={usage.limit > 0 ? usage.used / usage.limit : 0} />
      </td>
    </tr>
  );
}

function writes({ recent_group_count: groups, median_seconds: median, p95_seconds: p95, queued_count: queued, groups_in_flight: inFlight }: ServerStatus["updates"]): string {
  const times =
    median === undefined || p95 === undefined
      ? "Nothing was written."
      : `MongoDB stores a write in ${duration(median)}, and 19 of 20 in at most ${duration(p95)}: ${counted(groups, "group")} of updates ${groups === 1 ? "was" : "were"} stored.`;
  const waits = queued > 0 ? ` ${counted(queued, "update waits", "updates wait")} to be sent to MongoDB.` : "";
  const now = inFlight === 0 ? "MongoDB has nothing to store at the moment." : `MongoDB stores ${counted(inFlight, "group")} at the moment.`;
  return `${times} ${now}${waits}`;
}

function migration({ schema_version: stored, supported_schema_version: known, is_migrating: isMigrating }: ServerStatus["database"]): string {
  if (stored === 0) return "The version of the stored data is not known yet.";
  if (isMigrating) return `Stored data are of version ${stored}; the migration to version ${known} is under way, or waits for older servers to end.`;
  return stored === known ? `Stored data are of version ${stored}, which is the latest: no migration is pending.` : `Stored data are of version ${stored}; this server knows version ${known}.`;
}

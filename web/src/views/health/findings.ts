import type { ServerStatus, Usage } from "../../api/types";
import { grouped } from "../../parts/text";
import type { Reading } from "./reading";

/** Something that is not as it should be, and what to do. `bad`: requests fail or are about to. */
export interface Finding {
  readonly level: "bad" | "warn";
  readonly says: string;
  readonly toDo: string;
}

/** From which on a number is worth a word. */
const LAG_SECONDS = 10;
const WRITE_SECONDS = 1;
const USED = 0.5;

/** What is wrong, the worst first. Nothing: all is well. */
export function findings(reading: Reading): Finding[] {
  const { status } = reading;
  const found = status ? [...ofServer(status), ...ofDatabase(status), ...ofWrites(status)] : [withoutStatus(reading)];
  return found.sort((one, other) => Number(other.level === "bad") - Number(one.level === "bad"));
}

function withoutStatus({ fault, error }: Reading): Finding {
  if (fault === undefined) {
    return {
      level: "bad",
      says: "The gateway does not answer.",
      toDo: "See that it runs, and that this browser reaches it. Some client libraries keep what they cannot send, others lose it.",
    };
  }
  if (fault) {
    return {
      level: "bad",
      says: `The gateway runs, and no server behind it can work: ${fault}.`,
      toDo: "Its log says what a server waits for. Clients get errors that say to send again.",
    };
  }
  return { level: "warn", says: `The server does not say how it is: ${error?.message ?? ""}`, toDo: "Requests of clients may work all the same." };
}

function* ofServer({ is_ready, not_ready_reason, version, gateway_version, database }: ServerStatus): Generator<Finding> {
  if (!is_ready) {
    yield { level: "bad", says: `The server cannot work: ${not_ready_reason || "it does not say why"}.`, toDo: "Its log has more. Clients get errors that say to send again." };
  }
  if (gateway_version && gateway_version !== version) {
    yield { level: "warn", says: `The gateway has version ${gateway_version}, and the server ${version}.`, toDo: "During an upgrade this is as it should be. After it, update the one that is older." };
  }
  if (database.is_migrating) {
    yield { level: "warn", says: "Stored data are being migrated, or wait for older servers to end.", toDo: "Requests work meanwhile. Stop servers of the version before, if there are any." };
  }
  if (database.schema_version > database.supported_schema_version) {
    yield { level: "warn", says: "The stored data are of a newer version than this server.", toDo: "Update the server." };
  }
}

function* ofDatabase({ database: { members, replica_set } }: ServerStatus): Generator<Finding> {
  const isSharded = members.some(({ state }) => state === "router");
  if (replica_set && !isSharded && !members.some(({ state }) => state === "primary")) {
    yield { level: "bad", says: "MongoDB has no primary, so nothing can be written.", toDo: "An election takes seconds. After a minute without one, most members are down or cut off." };
  }
  for (const [index, { name, state, lag_seconds: lag }] of members.entries()) {
    const member = `The member ${memberName(name, index)} of MongoDB`;
    if (state === "unreachable") {
      yield { level: "warn", says: `${member} does not answer.`, toDo: "Start it, or see whether the network reaches it: fewer others may fail now." };
    } else if (lag !== undefined && lag > LAG_SECONDS) {
      yield { level: "warn", says: `${member} is ${seconds(lag)} behind.`, toDo: "Its disk or network is too slow, or it has just started." };
    }
  }
}

function* ofWrites({ updates, calls, streams, gateway_streams }: ServerStatus): Generator<Finding> {
  if (updates.p95_seconds !== undefined && updates.p95_seconds > WRITE_SECONDS) {
    yield { level: "warn", says: `Writes are slow: one in twenty takes longer than ${duration(updates.p95_seconds)}.`, toDo: "See whether MongoDB's disk is busy, and whether its members are healthy." };
  }
  const used: readonly (readonly [string, Usage])[] = [
    ["The queue of updates", updates.pending],
    ["The memory for updates", updates.pending_bytes],
    ["The room for calls", calls],
    ["The room for streams", streams],
    ["The room for streams of gateways", gateway_streams],
  ];
  for (const [what, { used: taken, limit }] of used) {
    if (limit > 0 && taken / limit >= USED) {
      yield { level: "warn", says: `${what} is ${grouped(Math.round((100 * taken) / limit))} % full.`, toDo: "When it is full, requests are refused as OVERLOADED. Add a server, or see why MongoDB is slow." };
    }
  }
}

/** A member that is known by an address has a number instead of a name. */
export function memberName(name: string, index: number): string {
  return name || `number ${index + 1}`;
}

/** A short duration: `6 ms`, `1.2 s`. */
export function duration(inSeconds: number): string {
  const milliseconds = inSeconds * 1000;
  if (milliseconds < 1) return "less than 1 ms";
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${grouped(Math.round(inSeconds * 10) / 10)} s`;
}

/** `12 seconds`, `4 minutes`. */
export function seconds(number: number): string {
  const [count, unit] = number < 120 ? [Math.round(number), "second"] : [Math.round(number / 60), "minute"];
  return `${grouped(count)} ${unit}${count === 1 ? "" : "s"}`;
}

/** `3.2 MiB`. */
export function bytes(number: number): string {
  return number < 1024 * 1024 ? `${grouped(Math.ceil(number / 1024))} KiB` : `${grouped(Math.round((number / 1024 / 1024) * 10) / 10)} MiB`;
}

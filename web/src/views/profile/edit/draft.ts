// What a person has changed in a profile and not yet sent: pure.

import { isEqual, isObject, withMember, withValueAt } from "../../../api/json";
import type { Path } from "../../../api/paths";
import type { Json, JsonObject, User } from "../../../api/types";

export interface Draft {
  /** The profile that was read, and from which the changes are counted. */
  readonly base: User;
  /** The metadata as they shall be. */
  readonly metadata: JsonObject;
  /** A new company id; empty: no change. */
  readonly companyId: string;
  /** The fields to remove, as in `clear_fields`. */
  readonly cleared: readonly string[];
}

/** One change, of a path from the top of the profile. Undefined is what is not there. */
export interface Change {
  readonly path: Path;
  readonly before: Json | undefined;
  readonly after: Json | undefined;
}

/** The fields that an update can remove. */
export const CLEARABLE = ["company_id", "anonymous_id", "ip_address", "observed_ip_address", "user_agent_string", "campaign", "initial_campaign", "latest_campaign"] as const;

/** The keys at the top of metadata whose values are always strings. */
export const RESERVED: ReadonlySet<string> = new Set(["email", "name", "first_name", "last_name", "phone", "photo_url"]);

export function draftOf(base: User): Draft {
  return { base, metadata: base.metadata ?? {}, companyId: "", cleared: [] };
}

/** The draft with one value of the metadata set, or removed where it is undefined. */
export function withValue(draft: Draft, path: Path, value: Json | undefined): Draft {
  const metadata = withValueAt(draft.metadata, path, value);
  return isObject(metadata) ? { ...draft, metadata } : draft;
}

/** Where two objects differ: objects are compared member by member, arrays and everything else as a whole. */
export function differences(before: JsonObject, after: JsonObject, holder: Path = []): Change[] {
  const changes: Change[] = [];
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const path = [...holder, key];
    const old = Object.hasOwn(before, key) ? before[key] : undefined;
    const next = Object.hasOwn(after, key) ? after[key] : undefined;
    if (isObject(old) && isObject(next)) changes.push(...differences(old, next, path));
    else if (!isEqual(old, next)) changes.push({ path, before: old, after: next });
  }
  return changes;
}

/** What of a profile people and clients set, as one object: what the rest is derived from. */
export function fieldsOf(user: User): JsonObject {
  const fields = user as unknown as JsonObject;
  return Object.fromEntries(["metadata", ...CLEARABLE].flatMap((name) => (fields[name] === undefined ? [] : [[name, fields[name]]])));
}

/** All changes of a draft. */
export function changesOf({ base, metadata, companyId, cleared }: Draft): Change[] {
  const stored = fieldsOf(base);
  const changes: Change[] = cleared.map((field) => ({ path: [field], before: stored[field], after: undefined }));
  if (companyId) changes.push({ path: ["company_id"], before: base.company_id, after: companyId });
  return [...changes, ...differences(base.metadata ?? {}, metadata, ["metadata"])];
}

/** The draft without one of its changes. */
export function without(draft: Draft, { path, before }: Change): Draft {
  const [field, ...inner] = path;
  if (field === "metadata") return withValue(draft, inner, before);
  return { ...draft, companyId: field === "company_id" ? "" : draft.companyId, cleared: draft.cleared.filter((each) => each !== field) };
}

/** The same changes of another state of the profile. */
export function onto(draft: Draft, now: User): Draft {
  let next: Draft = { ...draftOf(now), companyId: draft.companyId === now.company_id ? "" : draft.companyId };
  const stored = fieldsOf(now);
  next = { ...next, cleared: draft.cleared.filter((field) => stored[field] !== undefined) };
  for (const { path, after } of changesOf(draft)) {
    if (path[0] === "metadata") next = withValue(next, path.slice(1), after);
  }
  return next;
}

/** The update that makes the changes, and nothing else. It is refused if the profile has changed since it was read. */
export function updateOf(draft: Draft): JsonObject {
  const { base, companyId, cleared } = draft;
  const update: JsonObject = { user_id: base.user_id };
  if (base.etag) update["etag"] = base.etag;
  if (cleared.length > 0) update["clear_fields"] = [...cleared];
  if (companyId) update["company_id"] = companyId;
  const changes = changesOf(draft).filter(({ path }) => path[0] === "metadata");
  if (changes.length > 0) update["metadata"] = changes.reduce((patch, change) => patched(patch, change.path.slice(1), change.after), {} as JsonObject);
  return update;
}

/** A patch with one more change: a null removes a key. */
function patched(patch: JsonObject, path: Path, value: Json | undefined): JsonObject {
  const [key = "", ...rest] = path.map(String);
  if (rest.length === 0) return withMember(patch, key, value ?? null);
  const inner = Object.hasOwn(patch, key) ? patch[key] : undefined;
  return withMember(patch, key, patched(isObject(inner) ? inner : {}, rest, value));
}

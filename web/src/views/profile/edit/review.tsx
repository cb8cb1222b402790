import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { valueAt } from "../../../api/json";
import { parsePath, pathId, pathText } from "../../../api/paths";
import { sendUpdate, type UpdateResult } from "../../../api/updates";
import { getUser } from "../../../api/profiles";
import type { JsonObject } from "../../../api/types";
import { Copy } from "../../../parts/copy";
import { LongText } from "../../../parts/long-text";
import { Section } from "../../../parts/page";
import { ErrorNote, Loaded } from "../../../parts/states";
import { counted } from "../../../parts/text";
import { visible } from "../../../parts/value";
import { useAction } from "../../../state/action";
import { useResource } from "../../../state/resource";
import { api } from "../../../state/session";
import { curlOf } from "../curl";
import { Changes } from "./changes";
import { updateOf, type Change } from "./draft";
import { Unknown } from "./unknown";
import type { Editing } from "./use-editing";

/** Shows the exact update and what it would change, and sends it. */
export function Review({ editing, onSent }: { editing: Editing; onSent: (report: string) => void }) {
  const { draft, changes, go } = editing;
  const heading = useRef<HTMLDivElement>(null);
  const update = updateOf(draft);
  const text = JSON.stringify(update, null, 2);
  const dryRun = useResource(text, (signal) => sendUpdate(api(), update, true, signal));
  useLayoutEffect(() => heading.current?.focus(), []);

  const { act: send, isBusy, error, forget } = useAction(async () => onSent(reported(await sendUpdate(api(), update, false), changes)));
  const { act: showConflict, error: unread } = useAction(async () => {
    const now = await getUser(api(), draft.base.user_id);
    // Someone else erased the user: the update would create a new one.
    go({ name: "conflict", now: now ?? { user_id: draft.base.user_id } });
  });
  const hasConflict = dryRun.error?.reason === "ETAG_MISMATCH" || error?.reason === "ETAG_MISMATCH";
  useEffect(() => {
    if (hasConflict) void showConflict();
  }, [hasConflict]);

  if (error && (error.reason === "WRITE_OUTCOME_UNKNOWN" || error.isOutage)) {
    return <Unknown editing={editing} error={error} onStored={() => onSent(reported({}, changes))} onRetry={forget} />;
  }
  const wasRefused = dryRun.error !== undefined && !dryRun.error.isOutage;
  return (
    <div ref={heading} tabIndex={-1} class="review">
      <Section title="What changes" note="computed by Userfold; nothing is stored yet">
        <Loaded resource={dryRun} rows={2 * changes.length}>
          {(result) => <Outcome editing={editing} result={result} />}
        </Loaded>
        {wasRefused && (
          <Changes label="Your changes" changes={changes} columns={["Stored", "Yours"]} action={(change) => <Undo editing={editing} change={change} />} />
        )}
      </Section>
      <Section
        title="The update"
        note="exactly as it is sent"
        aside={
          <>
            <small>as curl</small> <Copy text={curlOf("v1/users", update)} what="curl command" />
          </>
        }
      >
        <LongText text={visible(text)} label="The update" />
      </Section>
      {unread && <ErrorNote error={unread} />}
      {error && !hasConflict && <ErrorNote error={error} />}
      <div class="buttons">
        <button type="button" class="primary" disabled={!dryRun.data || dryRun.data.suppressed} aria-busy={isBusy} onClick={send}>
          {isBusy ? "Sending …" : "Send the update"}
        </button>
        <button type="button" onClick={() => go({ name: "edit" })}>
          Back
        </button>
      </div>
    </div>
  );
}

/** What a dry run says. */
function Outcome({ editing, result }: { editing: Editing; result: UpdateResult }) {
  if (result.suppressed) return <p class="note warn">The user is suppressed after an erasure: Userfold would drop this update.</p>;
  const before = editing.draft.base as unknown as JsonObject;
  const own = new Map(editing.changes.map((change) => [pathId(change.path), change]));
  const after = result.user as unknown as JsonObject;
  const paths = (result.changed_paths ?? []).map(parsePath);
  const changes: Change[] = paths.map((path) => ({ path, before: valueAt(before, path), after: valueAt(after, path) }));
  const warnings = result.warnings ?? [];
  return (
    <>
      {warnings.map((warning) => (
        <p key={warning.field + warning.reason} class="note warn">
          <code>
            <bdi>{warning.field}</bdi>
          </code>
          : {warning.description} <small>{warning.reason}</small>
        </p>
      ))}
      {changes.length === 0 ? (
        <p class="inside soft">Nothing: the profile has all of this already.</p>
      ) : (
        <Changes label="What changes" changes={changes} columns={["Before", "After"]} action={({ path }) => <Undo editing={editing} change={own.get(pathId(path))} />} />
      )}
    </>
  );
}

function Undo({ editing, change }: { editing: Editing; change: Change | undefined }) {
  if (!change) return <small>follows from others</small>;
  return (
    <button type="button" class="plain" aria-label={`Undo ${pathText(change.path)}`} onClick={() => editing.undo(change)}>
      Undo
    </button>
  );
}

function reported(result: UpdateResult, changes: readonly Change[]): string {
  const warnings = result.warnings ?? [];
  if (result.suppressed) return "The user is suppressed after an erasure: nothing is stored.";
  return `Stored: ${counted(changes.length, "change")}.${warnings.length > 0 ? ` With ${counted(warnings.length, "warning")}.` : ""}`;
}

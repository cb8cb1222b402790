import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { getUser, mergeUsers } from "../../api/profiles";
import type { User } from "../../api/types";
import { Confirm } from "../../parts/confirm";
import { ErrorNote, Loaded } from "../../parts/states";
import { counted } from "../../parts/text";
import { useReturnedFocus } from "../../state/focus";
import { useResource } from "../../state/resource";
import { api } from "../../state/session";
import { filled } from "./filled";
import { nameOf } from "./shown/words";

/** Merges another user into this one: asks for the id, says what will happen, and wants the id typed again. */
export function Merge({ user, onClose, onDone }: { user: User; onClose: () => void; onDone: (report: string) => void }) {
  const [sourceId, setSourceId] = useState("");
  return sourceId ? (
    <Sure user={user} sourceId={sourceId} onClose={onClose} onDone={onDone} />
  ) : (
    <Ask user={user} onFind={setSourceId} onClose={onClose} />
  );
}

function Ask({ user, onFind, onClose }: { user: User; onFind: (id: string) => void; onClose: () => void }) {
  const field = useRef<HTMLInputElement>(null);
  const [typed, setTyped] = useState("");
  useReturnedFocus();
  useLayoutEffect(() => field.current?.focus(), []);
  const isSame = typed === user.user_id;
  return (
    <form
      class="confirm"
      aria-label="Merge another user into this one"
      onSubmit={(event) => {
        event.preventDefault();
        onFind(typed);
      }}
      onKeyDown={(event) => {
        if (event.key === "Escape") onClose();
      }}
    >
      <h3>Merge another user into this one</h3>
      <p>
        For one person with two ids. This user stays, and gets what the other one has and this one lacks. What will change is shown before
        anything does.
      </p>
      <label>
        User id of the other one
        <input ref={field} value={typed} onInput={(event) => setTyped(event.currentTarget.value)} autocomplete="off" spellcheck={false} dir="auto" />
      </label>
      {isSame && <p class="problem">This is the user whose page this is.</p>}
      <div class="buttons">
        <button class="primary" disabled={!typed || isSame}>
          Show what will change
        </button>
        <button type="button" onClick={onClose}>
          Cancel
        </button>
      </div>
    </form>
  );
}

function Sure({ user, sourceId, onClose, onDone }: { user: User; sourceId: string; onClose: () => void; onDone: (report: string) => void }) {
  const source = useResource(sourceId, (signal) => getUser(api(), sourceId, signal));
  const run = async () => {
    const merged = await mergeUsers(api(), user.user_id, sourceId);
    onDone(merged ? `Merged: the id ${sourceId} leads to this user from now on.` : `Nothing was to be done: the id ${sourceId} led to this user before.`);
  };
  const found = source.data;
  if (found === null || found?.user_id === user.user_id) {
    return (
      <div class="confirm">
        <h3>Merge another user into this one</h3>
        <p role="alert">{found ? `The id ${sourceId} leads to this user already.` : `Nothing is stored of a user with the id ${sourceId}.`}</p>
        <div class="buttons">
          <button type="button" onClick={onClose}>
            Close
          </button>
        </div>
      </div>
    );
  }
  if (source.error) return <ErrorNote error={source.error} retry={source.reload} />;
  return (
    <Confirm title="Merge another user into this one" id={sourceId} verb="Merge" run={run} onClose={onClose}>
      <Loaded resource={source} rows={4}>
        {(other) => other && <WillHappen user={user} source={other} />}
      </Loaded>
    </Confirm>
  );
}

function WillHappen({ user, source }: { user: User; source: User }) {
  const { added, kept } = filled(user.metadata ?? {}, source.metadata ?? {});
  const tokens = source.alias_count ?? 0;
  const visitors = source.anonymous_ids?.length ?? (source.anonymous_id === undefined ? 0 : 1);
  return (
    <>
      <p>
        <b>
          <bdi>{nameOf(source, source.user_id)}</bdi>
        </b>{" "}
        becomes a part of{" "}
        <b>
          <bdi>{nameOf(user, user.user_id)}</bdi>
        </b>
        . This cannot be undone.
      </p>
      <ul>
        <li>
          {counted(added, "value")} of its metadata {added === 1 ? "is" : "are"} added. Of {counted(kept, "value")} that both have, this user's stay.
        </li>
        <li>
          {counted(tokens, "session token")} and {counted(visitors, "anonymous id")} of it lead to this user from then on.
        </li>
        <li>
          The id <code dir="auto">{source.user_id}</code> leads to this user, too: in reads, exports and erasures, and whoever sends updates with
          it updates this user.
        </li>
      </ul>
    </>
  );
}

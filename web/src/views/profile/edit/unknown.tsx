import type { ApiError } from "../../../api/errors";
import { isEqual, valueAt } from "../../../api/json";
import { getUser } from "../../../api/profiles";
import type { User } from "../../../api/types";
import { ErrorNote, Loaded } from "../../../parts/states";
import { counted } from "../../../parts/text";
import { useResource } from "../../../state/resource";
import { api } from "../../../state/session";
import { fieldsOf } from "./draft";
import type { Editing } from "./use-editing";

/** Nobody knows whether the update is stored: read the profile, and say whether it is there. */
export function Unknown({ editing, error, onStored, onRetry }: { editing: Editing; error: ApiError; onStored: () => void; onRetry: () => void }) {
  const { draft, changes, go } = editing;
  const userId = draft.base.user_id;
  const stored = useResource(userId, async (signal) => (await getUser(api(), userId, signal)) ?? { user_id: userId });
  return (
    <>
      <ErrorNote error={error} />
      <Loaded resource={stored} rows={2}>
        {(now) => {
          const there = changes.filter(({ path, after }) => isEqual(valueAt(fieldsOf(now), path), after)).length;
          const [text, label, act] =
            there === changes.length
              ? (["The profile was read again: the update is stored.", "Go on", onStored] as const)
              : draft.base.etag !== undefined && draft.base.etag === now.etag
                ? (["The profile was read again: the update is not stored, and nothing else has changed.", "Send it again", onRetry] as const)
                : ([`The profile was read again: ${there} of ${counted(changes.length, "change")} are there, and it has changed.`, "Compare", () => conflict(now)] as const);
          return (
            <div class="note">
              <p>{text}</p>
              <button type="button" class="primary" onClick={act}>
                {label}
              </button>
            </div>
          );
        }}
      </Loaded>
    </>
  );

  function conflict(now: User): void {
    go({ name: "conflict", now });
  }
}

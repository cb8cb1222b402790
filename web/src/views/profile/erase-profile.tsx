import { comparisonText } from "../../api/filter";
import { COMPANIES, type ProfileKind } from "../../api/kinds";
import { eraseProfile, type Deletion } from "../../api/privacy";
import { countUsers } from "../../api/profiles";
import { Confirm } from "../../parts/confirm";
import { Loaded } from "../../parts/states";
import { counted } from "../../parts/text";
import { useResource } from "../../state/resource";
import { api, can } from "../../state/session";

interface Numbers {
  readonly deletion: Deletion;
  /** Undefined where the token may not read users. */
  readonly users: number | undefined;
}

/** Asks before a company or a visitor is erased: what will be gone, and what stays. */
export function EraseProfile({ of, id, onClose, onDone }: {
  of: ProfileKind;
  id: string;
  onClose: () => void;
  /** Gets a sentence that says what was done. */
  onDone: (report: string) => void;
}) {
  const count = async (signal?: AbortSignal): Promise<Numbers> => ({
    deletion: can(`read:${of.scope}`) ? await eraseProfile(api(), of, id, true) : {},
    users: of === COMPANIES && can("read:users") ? await countUsers(api(), comparisonText(["company_id"], "=", id), signal) : undefined,
  });
  const preview = useResource(`${of.name} ${id}`, count);
  const run = async () => {
    // Whoever types quickly confirms before the numbers are there.
    const { deletion } = preview.data ?? (await count());
    onDone(reported(deletion, await eraseProfile(api(), of, id, false)));
  };
  return (
    <Confirm title={`Erase this ${of.one}`} id={id} verb="Erase" run={run} onClose={onClose}>
      <Loaded resource={preview} rows={2}>
        {(numbers) => <Expected of={of} numbers={numbers} />}
      </Loaded>
    </Confirm>
  );
}

function Expected({ of, numbers: { deletion, users } }: { of: ProfileKind; numbers: Numbers }) {
  return (
    <>
      <p>
        {deletion.deleted === undefined
          ? "This removes what is stored, for good."
          : deletion.deleted
            ? `This removes ${what(deletion)} for good. Nothing brings it back, except a backup.`
            : "Nothing is stored now."}
      </p>
      <p class="soft">
        {of === COMPANIES && `${users === undefined ? "The users" : `The ${counted(users, "user")}`} with its id stay as they are. `}
        The next update creates the {of.one} anew.
      </p>
    </>
  );
}

function what({ alias_count: tokens }: Deletion): string {
  return tokens === undefined ? "1 profile" : `1 profile and ${counted(tokens, "session token")}`;
}

/** What was done. Only a dry run counts tokens. */
function reported(before: Deletion, done: Deletion): string {
  return done.deleted ? `Erased: ${what(before)}.` : "Nothing was stored.";
}

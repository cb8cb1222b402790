import { useState } from "preact/hooks";
import { createApplication, deleteApplication, renameApplication, type Application, type Counts, type NewApplication } from "../../api/access";
import { Confirm } from "../../parts/confirm";
import { Copy } from "../../parts/copy";
import { Section } from "../../parts/page";
import { ErrorNote, Loaded } from "../../parts/states";
import { counted } from "../../parts/text";
import { Time } from "../../parts/time";
import { useAction } from "../../state/action";
import { announce } from "../../state/announce";
import { useResource } from "../../state/resource";
import { useReturnedFocus } from "../../state/focus";
import { api, rename, signOut } from "../../state/session";
import { Secret } from "./secret";

type Action = "rename" | "create" | "delete";

/** The application of the session: its name, and its end. */
export function ApplicationSection({ application, onChange }: { application: Application; onChange: () => void }) {
  const [action, setAction] = useState<Action>();
  const [made, setMade] = useState<NewApplication>();
  const close = () => setAction(undefined);
  return (
    <Section title="Application">
      <dl class="pairs">
        <dt>Name</dt>
        <dd dir="auto">{application.display_name || "unnamed"}</dd>
        <dt>Application id</dt>
        <dd>
          <code>{application.application_id}</code> <Copy text={application.application_id} what="application id" />
        </dd>
        <dt>Created</dt>
        <dd>
          <Time of={application.created_time} />
        </dd>
      </dl>
      <div class="inside buttons">
        <button type="button" onClick={() => setAction("rename")}>
          Rename…
        </button>
        <button type="button" onClick={() => setAction("create")}>
          New application…
        </button>
        <button type="button" class="danger" onClick={() => setAction("delete")}>
          Delete this application…
        </button>
      </div>
      <div class={action || made ? "inside" : ""}>
        {action === "rename" && (
          <Named
            key="rename"
            label="New name"
            value={application.display_name ?? ""}
            verb="Rename"
            onClose={close}
            run={async (name) => {
              await renameApplication(api(), name);
              rename(name);
              announce("The application was renamed");
              close();
              onChange();
            }}
          />
        )}
        {action === "create" && (
          <Named
            key="create"
            label="Name of the new application"
            value=""
            verb="Create"
            onClose={close}
            run={async (name) => {
              setMade(await createApplication(api(), name));
              close();
            }}
          />
        )}
        {action === "delete" && <Delete application={application} onClose={close} />}
        {made && (
          <>
            <p>
              <strong dir="auto">{made.application.display_name}</strong> has users and credentials of its own. Sign in with its token to see it.
            </p>
            <Secret made={made.management_token} onClose={() => setMade(undefined)} />
            <Secret made={made.collector_key} onClose={() => setMade(undefined)} />
          </>
        )}
      </div>
    </Section>
  );
}

function Named({ label, value, verb, run, onClose }: { label: string; value: string; verb: string; run: (name: string) => Promise<void>; onClose: () => void }) {
  useReturnedFocus();
  const [name, setName] = useState(value);
  const { act, error } = useAction(() => run(name.trim()));
  return (
    <form
      class="create"
      onSubmit={act}
      onKeyDown={(event) => {
        if (event.key === "Escape") onClose();
      }}
    >
      <label>
        {label}
        <input required maxLength={100} value={name} autocomplete="off" ref={(field) => field?.focus()} onInput={(event) => setName(event.currentTarget.value)} />
      </label>
      {error && <ErrorNote error={error} />}
      <div class="buttons">
        <button class="primary" disabled={!name.trim()}>
          {verb}
        </button>
        <button type="button" onClick={onClose}>
          Cancel
        </button>
      </div>
    </form>
  );
}

function Delete({ application, onClose }: { application: Application; onClose: () => void }) {
  const counts = useResource(application.application_id, () => deleteApplication(api(), application.application_id, true));
  const run = async () => {
    await deleteApplication(api(), application.application_id, false);
    signOut(`The application ${application.display_name || application.application_id} is being deleted with all its data: its credentials have ended, and the rest goes within minutes.`);
  };
  return (
    <Confirm title="Delete this application" id={application.application_id} verb="Delete" run={run} onClose={onClose}>
      <Loaded resource={counts} rows={1}>
        {(found) => <p>This removes {listed(found)}. Only a backup brings them back. This session ends with it.</p>}
      </Loaded>
    </Confirm>
  );
}

const COUNTS: readonly (readonly [string, string, string])[] = [
  ["user_count", "user", "users"],
  ["visitor_count", "visitor", "visitors"],
  ["company_count", "company", "companies"],
  ["suppression_count", "suppression", "suppressions"],
  ["refusal_count", "kind of refusals", "kinds of refusals"],
  ["credential_count", "credential", "credentials"],
  ["index_count", "index", "indexes"],
];

/** The counts of a deletion in words: `12 users, 3 credentials`. */
function listed(counts: Counts): string {
  const parts = COUNTS.flatMap(([name, one, many]) => (Number(counts[name] ?? 0) > 0 ? [counted(counts[name] ?? 0, one, many)] : []));
  return parts.length > 0 ? parts.join(", ") : "nothing but the application itself";
}

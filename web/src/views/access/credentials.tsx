import { useState } from "preact/hooks";
import { revokeCredential, rotateCredential, type Credential, type WithSecret } from "../../api/access";
import { Confirm } from "../../parts/confirm";
import { Copy } from "../../parts/copy";
import { Empty, ErrorNote } from "../../parts/states";
import { Time } from "../../parts/time";
import { useAction } from "../../state/action";
import { announce } from "../../state/announce";
import { useReturnedFocus } from "../../state/focus";
import { api, session, signOut } from "../../state/session";

const KINDS: Readonly<Record<string, string>> = { collector_key: "collector key", management_token: "management token" };

interface Rows {
  credentials: readonly Credential[];
  onSecret: (made: WithSecret) => void;
  onChange: () => void;
}

export function CredentialsTable({ credentials, onSecret, onChange }: Rows) {
  const [acting, setActing] = useState<{ id: string; action: "rotate" | "revoke" }>();
  if (credentials.length === 0) return <Empty title="There are no credentials" />;
  const close = () => setActing(undefined);
  const chosen = credentials.find((each) => each.credential_id === acting?.id);
  return (
    <>
      {chosen && acting?.action === "revoke" && <Revoke key={chosen.credential_id} credential={chosen} onClose={close} onChange={onChange} />}
      {chosen && acting?.action === "rotate" && (
        <Rotate
          key={chosen.credential_id}
          credential={chosen}
          onClose={close}
          onSecret={(made) => {
            close();
            onSecret(made);
          }}
        />
      )}
      <div class="scrolls">
        <table class="credentials stacks">
          <thead>
            <tr>
              <th scope="col">Name</th>
              <th scope="col">Kind and scopes</th>
              <th scope="col">Last used</th>
              <th scope="col">Created</th>
              <th scope="col">Expires</th>
              <th scope="col">
                <span class="hidden">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {credentials.map((each) => (
              <tr key={each.credential_id}>
                <td>
                  <span dir="auto">{each.display_name || "unnamed"}</span>{" "}
                  {each.credential_id === session.value?.identity.credential_id && <span class="badge good">this session</span>}
                  <br />
                  <small>
                    <code>{each.credential_id}</code> <Copy text={each.credential_id} what="credential id" />
                  </small>
                </td>
                <td data-label="Kind">
                  {KINDS[each.kind] ?? each.kind}
                  <br />
                  <small>{each.kind === "management_token" ? each.scopes?.join(", ") || "no scope" : "sends updates"}</small>
                </td>
                <td data-label="Last used">{each.last_used_time ? <Time of={each.last_used_time} /> : <span class="soft">not yet</span>}</td>
                <td data-label="Created">
                  <Time of={each.created_time} />
                </td>
                <td data-label="Expires">
                  {each.expire_time ? <Time of={each.expire_time} /> : <span class="soft">never</span>}
                  {isEnded(each) && (
                    <>
                      {" "}
                      <span class="badge bad">ended</span>
                    </>
                  )}
                </td>
                <td>
                  <div class="row-actions">
                    <button type="button" aria-label={`Rotate ${each.display_name || each.credential_id}`} onClick={() => setActing({ id: each.credential_id, action: "rotate" })}>
                      Rotate…
                    </button>
                    <button
                      type="button"
                      class="danger"
                      aria-label={`Revoke ${each.display_name || each.credential_id}`}
                      onClick={() => setActing({ id: each.credential_id, action: "revoke" })}
                    >
                      Revoke…
                    </button>
                  </div>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function isEnded(credential: Credential): boolean {
  return credential.expire_time !== undefined && Date.parse(credential.expire_time) <= Date.now();
}

function Revoke({ credential, onClose, onChange }: { credential: Credential; onClose: () => void; onChange: () => void }) {
  const isOwn = credential.credential_id === session.value?.identity.credential_id;
  const run = async () => {
    await revokeCredential(api(), credential.credential_id, isOwn);
    if (isOwn) return signOut("The token of this session was revoked.");
    announce("The credential was revoked");
    onClose();
    onChange();
  };
  return (
    <div class="inside">
      <Confirm title={`Revoke ${credential.display_name || credential.credential_id}`} id={credential.credential_id} verb="Revoke" run={run} onClose={onClose}>
        <p>
          Whoever uses it is refused within seconds. {credential.last_used_time ? <>It was last used <Time of={credential.last_used_time} />.</> : "It was not used yet."} It
          cannot be brought back.{isOwn && " It is the token of this session, which ends with it."}
        </p>
      </Confirm>
    </div>
  );
}

const OVERLAPS: readonly (readonly [string, number])[] = [
  ["at once", 0],
  ["after an hour", 1],
  ["after a day", 24],
  ["after 7 days", 168],
  ["after 30 days", 720],
];

function Rotate({ credential, onClose, onSecret }: { credential: Credential; onClose: () => void; onSecret: (made: WithSecret) => void }) {
  useReturnedFocus();
  const [hours, setHours] = useState(24);
  const { act, isBusy, error } = useAction(async () => onSecret(await rotateCredential(api(), credential.credential_id, hours)));
  return (
    <form class="inside create" aria-label="Rotate" onSubmit={act}>
      <p>
        <strong dir="auto">{credential.display_name || credential.credential_id}</strong> gets a new secret, with the same name and scopes.
      </p>
      <label>
        The old secret ends
        <select value={String(hours)} onChange={(event) => setHours(Number(event.currentTarget.value))}>
          {OVERLAPS.map(([label, length]) => (
            <option key={label} value={String(length)}>
              {label}
            </option>
          ))}
        </select>
      </label>
      {error && <ErrorNote error={error} />}
      <div class="buttons">
        <button class="primary" aria-busy={isBusy}>
          {isBusy ? "Rotating …" : "Make a new secret"}
        </button>
        <button type="button" onClick={onClose}>
          Cancel
        </button>
      </div>
    </form>
  );
}

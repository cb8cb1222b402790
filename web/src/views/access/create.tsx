import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { createCredential, type NewCredential, type WithSecret } from "../../api/access";
import { ErrorNote } from "../../parts/states";
import { useAction } from "../../state/action";
import { useReturnedFocus } from "../../state/focus";
import { api } from "../../state/session";

const SCOPES: readonly (readonly [string, string])[] = [
  ["read:users", "look at profiles, search and export them"],
  ["write:users", "send updates, edit profiles, remove tokens"],
  ["delete:users", "erase users, see and lift suppressions"],
  ["read:companies", "look at companies, and export them"],
  ["write:companies", "send updates of companies"],
  ["delete:companies", "erase companies"],
  ["read:campaigns", "see the campaign report"],
  ["read:refusals", "see what clients send wrongly"],
  ["admin", "everything, also credentials"],
];

const LIFETIMES: readonly (readonly [string, number])[] = [
  ["never", 0],
  ["in 30 days", 30],
  ["in 90 days", 90],
  ["in a year", 365],
];

const DAY_MILLISECONDS = 86_400_000;

/** The form of a new credential. */
export function CreateCredential({ onCreated, onClose }: { onCreated: (made: WithSecret) => void; onClose: () => void }) {
  const name = useRef<HTMLInputElement>(null);
  const [kind, setKind] = useState("management_token");
  const [scopes, setScopes] = useState<ReadonlySet<string>>(new Set(["read:users"]));
  const [days, setDays] = useState(90);
  useReturnedFocus();
  useLayoutEffect(() => name.current?.focus(), []);
  const isToken = kind === "management_token";

  const toggle = (scope: string) => {
    const next = new Set(scopes);
    if (!next.delete(scope)) next.add(scope);
    setScopes(next);
  };
  const { act, isBusy, error } = useAction(async () => {
    const wanted: NewCredential = { display_name: name.current?.value.trim() ?? "", kind, scopes: isToken ? [...scopes] : [] };
    if (days > 0) wanted.expire_time = new Date(Date.now() + days * DAY_MILLISECONDS).toISOString();
    onCreated(await createCredential(api(), wanted));
  });

  return (
    <form
      class="inside create"
      aria-label="New credential"
      onSubmit={act}
      onKeyDown={(event) => {
        if (event.key === "Escape") onClose();
      }}
    >
      <label>
        Name
        <input ref={name} required maxLength={100} placeholder="Support desk" autocomplete="off" />
      </label>
      <fieldset>
        <legend>Kind</legend>
        <label>
          <input type="radio" name="kind" checked={isToken} onChange={() => setKind("management_token")} /> Management token
          <small>for people and servers: does what its scopes allow</small>
        </label>
        <label>
          <input type="radio" name="kind" checked={!isToken} onChange={() => setKind("collector_key")} /> Collector key
          <small>for clients: sends updates and nothing else</small>
        </label>
      </fieldset>
      {isToken && (
        <fieldset>
          <legend>Scopes</legend>
          {SCOPES.map(([scope, meaning]) => (
            <label key={scope}>
              <input type="checkbox" checked={scopes.has(scope)} onChange={() => toggle(scope)} /> <code>{scope}</code>
              <small>{meaning}</small>
            </label>
          ))}
        </fieldset>
      )}
      <label>
        Expires
        <select value={String(days)} onChange={(event) => setDays(Number(event.currentTarget.value))}>
          {LIFETIMES.map(([label, length]) => (
            <option key={label} value={String(length)}>
              {label}
            </option>
          ))}
        </select>
      </label>
      {error && <ErrorNote error={error} />}
      <div class="buttons">
        <button class="primary" disabled={isToken && scopes.size === 0} aria-busy={isBusy}>
          {isBusy ? "Creating …" : "Create"}
        </button>
        <button type="button" onClick={onClose}>
          Cancel
        </button>
      </div>
    </form>
  );
}

import { useState } from "preact/hooks";
import type { JsonObject } from "../../../api/types";
import { removeToken } from "../../../api/updates";
import { Section } from "../../../parts/page";
import { ErrorNote } from "../../../parts/states";
import { useAction } from "../../../state/action";
import { announce } from "../../../state/announce";
import { api } from "../../../state/session";
import { CLEARABLE } from "./draft";
import type { Editing } from "./use-editing";

const MEANINGS: Readonly<Record<(typeof CLEARABLE)[number], string>> = {
  company_id: "the company",
  anonymous_id: "the visitor that the user was",
  ip_address: "the address that an update sent",
  observed_ip_address: "the address that requests came from",
  user_agent_string: "the user agent, with browser, system and device",
  campaign: "the merged campaign",
  initial_campaign: "the first campaign",
  latest_campaign: "the latest campaign",
};

/** The fields beside the metadata that people mend. */
export function Fields({ editing: { draft, setDraft } }: { editing: Editing }) {
  const { base, companyId, cleared } = draft;
  const stored = base as unknown as JsonObject;
  // An address that no update gave is the observed one: there is nothing to remove.
  const isStored = (field: string) => stored[field] !== undefined && !(field === "ip_address" && base.ip_address === base.observed_ip_address);
  const fields = CLEARABLE.filter(isStored);
  const clear = (field: string, isCleared: boolean) =>
    setDraft({ ...draft, cleared: isCleared ? [...cleared, field] : cleared.filter((each) => each !== field), companyId: field === "company_id" ? "" : companyId });
  const onCompany = (typed: string) => {
    const others = cleared.filter((each) => each !== "company_id");
    // An update ignores an empty id: to empty the field is to remove it.
    const isRemoved = typed === "" && base.company_id !== undefined;
    setDraft({ ...draft, companyId: typed === base.company_id ? "" : typed, cleared: isRemoved ? [...others, "company_id"] : others });
  };
  return (
    <Section title="Fields">
      <div class="inside edit-fields">
        <label for="company">Company id</label>
        <input
          id="company"
          value={companyId || (cleared.includes("company_id") ? "" : (base.company_id ?? ""))}
          onInput={(event) => onCompany(event.currentTarget.value)}
          maxLength={512}
          autocomplete="off"
          spellcheck={false}
          dir="auto"
        />
        {fields.length > 0 && (
          <fieldset>
            <legend>Remove</legend>
            {fields.map((field) => (
              <label key={field} class="edit-check">
                <input type="checkbox" checked={cleared.includes(field)} onChange={(event) => clear(field, event.currentTarget.checked)} />
                <span>
                  <code>{field}</code> <small>{MEANINGS[field]}</small>
                </span>
              </label>
            ))}
          </fieldset>
        )}
      </div>
      <Token userId={base.user_id} />
    </Section>
  );
}

/** Removes one session token. It is not part of the update: tokens are stored as digests, so there is nothing to show. */
function Token({ userId }: { userId: string }) {
  const [token, setToken] = useState("");
  const [report, setReport] = useState("");
  const { act, isBusy, error } = useAction(async () => {
    setReport("");
    const removed = await removeToken(api(), userId, token);
    const text = removed ? "Removed: a look-up of the token does not find this user any more." : "This user does not have that token.";
    setReport(text);
    announce(text);
    setToken("");
  });
  return (
    <form class="inside edit-fields edit-token" onSubmit={act}>
      <label for="token">Remove a session token</label>
      <div class="buttons">
        <input id="token" type="password" value={token} onInput={(event) => setToken(event.currentTarget.value)} placeholder="The token, as clients send it" autocomplete="off" />
        <button disabled={!token} aria-busy={isBusy}>Remove now</button>
      </div>
      {report && <p class="soft">{report}</p>}
      {error && <ErrorNote error={error} />}
    </form>
  );
}

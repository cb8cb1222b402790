import { useState } from "preact/hooks";
import { COMPANIES, keyLabel, type ProfileKind } from "../../api/kinds";
import { getProfile } from "../../api/profiles";
import type { Profile } from "../../api/types";
import { ActionButton } from "../../parts/action-button";
import { Section } from "../../parts/page";
import { saveExport } from "../../parts/save-export";
import { Loaded } from "../../parts/states";
import { Foreign, counted } from "../../parts/text";
import { Time } from "../../parts/time";
import { announce } from "../../state/announce";
import { useResource } from "../../state/resource";
import { href } from "../../state/router";
import { api, can } from "../../state/session";
import { EraseProfile } from "../profile/erase-profile";

/** What is stored about one company or visitor, and what can be done with it. */
export function Plain({ of, id }: { of: ProfileKind; id: string }) {
  const reads = can(`read:${of.scope}`);
  const stored = useResource(id, async (signal) => (reads ? getProfile(api(), of, id, signal) : null));
  const [report, setReport] = useState("");
  const [isErasing, setErasing] = useState(false);
  return (
    <Section title={`This ${of.one}`}>
      {report && <p class="note good">{report}</p>}
      <div class="person">
        <Loaded resource={stored} rows={4}>
          {(profile) => (
            <>
              <dl class="pairs">
                <dt>{keyLabel(of)}</dt>
                <dd>
                  <code>
                    <Foreign text={id} />
                  </code>
                </dd>
                {reads && (
                  <>
                    <dt>Stored</dt>
                    <dd>{profile ? summary(of, profile) : `Nothing: there is no profile of this ${of.one}.`}</dd>
                  </>
                )}
                {profile && (
                  <>
                    <dt>First seen</dt>
                    <dd>
                      <Time of={profile.created_time} />
                    </dd>
                  </>
                )}
              </dl>
              <div class="inside buttons">
                {profile && (
                  <>
                    <a class="button" href={href([of.one, id])}>
                      Open the profile
                    </a>
                    <ActionButton label="Download the export" run={() => saveExport(of, id)} />
                  </>
                )}
                {can(`delete:${of.scope}`) && !isErasing && (
                  <button type="button" class="danger" onClick={() => setErasing(true)}>
                    Erase…
                  </button>
                )}
              </div>
            </>
          )}
        </Loaded>
        {isErasing && (
          <div class="inside">
            <EraseProfile
              of={of}
              id={id}
              onClose={() => setErasing(false)}
              onDone={(text) => {
                setErasing(false);
                setReport(text);
                announce(text);
                stored.reload();
              }}
            />
          </div>
        )}
      </div>
    </Section>
  );
}

/** What is stored, in numbers. */
function summary(of: ProfileKind, { alias_count: tokens = 0 }: Profile): string {
  return of === COMPANIES ? "A profile." : `A profile with ${counted(tokens, "session token")}.`;
}

import { useState } from "preact/hooks";
import { liftSuppression, suppressionOf, type Suppression } from "../../api/privacy";
import { USERS } from "../../api/kinds";
import type { User } from "../../api/types";
import { getUser } from "../../api/profiles";
import { ActionButton } from "../../parts/action-button";
import { Erase } from "../../parts/erase";
import { Loaded } from "../../parts/states";
import { Section } from "../../parts/page";
import { saveExport } from "../../parts/save-export";
import { Foreign, counted } from "../../parts/text";
import { Time } from "../../parts/time";
import { announce } from "../../state/announce";
import { useResource } from "../../state/resource";
import { href } from "../../state/router";
import { api, can } from "../../state/session";

interface Stored {
  readonly user: User | null;
  readonly suppression: Suppression | undefined;
}

/** What is stored about one person, and what can be done with it. */
export function Person({ userId, onChange }: { userId: string; onChange: () => void }) {
  const stored = useResource(userId, (signal) => load(userId, signal));
  const [report, setReport] = useState("");
  const done = (text: string) => {
    setReport(text);
    announce(text);
    stored.reload();
    onChange();
  };
  return (
    <Section title="This person">
      {report && <p class="note good">{report}</p>}
      <div class="person">
        <Loaded resource={stored} rows={5}>
          {(data) => <Facts userId={userId} stored={data} done={done} />}
        </Loaded>
      </div>
    </Section>
  );
}

async function load(userId: string, signal: AbortSignal): Promise<Stored> {
  const [user, suppression] = await Promise.all([
    can("read:users") ? getUser(api(), userId, signal) : null,
    can("delete:users") ? suppressionOf(api(), userId, signal) : undefined,
  ]);
  return { user, suppression };
}

function Facts({ userId, stored, done }: { userId: string; stored: Stored; done: (report: string) => void }) {
  const { user, suppression } = stored;
  const [isErasing, setErasing] = useState(false);
  return (
    <>
      <dl class="pairs">
        <dt>User id</dt>
        <dd>
          <code>
            <Foreign text={userId} />
          </code>
        </dd>
        {can("read:users") && (
          <>
            <dt>Stored</dt>
            <dd>{user ? summary(user) : "Nothing: there is no profile of this user."}</dd>
          </>
        )}
        {user && (
          <>
            <dt>First seen</dt>
            <dd>
              <Time of={user.created_time} />
            </dd>
          </>
        )}
        {can("delete:users") && (
          <>
            <dt>Suppressed</dt>
            <dd>{suppression ? <>Updates are dropped. It ends <Time of={suppression.end_time} />.</> : "No: updates of this user are stored."}</dd>
          </>
        )}
      </dl>
      <div class="inside buttons">
        {user && (
          <>
            <a class="button" href={href(["user", userId])}>
              Open the profile
            </a>
            <ActionButton label="Download the export" run={() => saveExport(USERS, userId)} />
          </>
        )}
        {suppression && <ActionButton label="Lift the suppression" run={async () => done(await lift(userId))} />}
        {can("delete:users") && !isErasing && (
          <button type="button" class="danger" onClick={() => setErasing(true)}>
            Erase…
          </button>
        )}
      </div>
      {isErasing && (
        <div class="inside">
          <Erase
            userIds={[userId]}
            typed={userId}
            onClose={() => setErasing(false)}
            onDone={(report) => {
              setErasing(false);
              done(report);
            }}
          />
        </div>
      )}
    </>
  );
}

/** What is stored, in numbers. */
function summary({ alias_count: aliases = 0, anonymous_id: visitor }: User): string {
  return `A profile with ${counted(aliases, "session token")}${visitor === undefined ? "" : ", and what its visitor left"}.`;
}

async function lift(userId: string): Promise<string> {
  const lifted = await liftSuppression(api(), userId);
  return lifted ? "The suppression was lifted: the next update creates the user anew." : "There was no suppression any more.";
}

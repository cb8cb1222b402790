import { useState } from "preact/hooks";
import { getApplication, listCredentials, type WithSecret } from "../../api/access";
import { PageHead, Section } from "../../parts/page";
import { Loaded } from "../../parts/states";
import { counted } from "../../parts/text";
import { useResource } from "../../state/resource";
import { api } from "../../state/session";
import { ApplicationSection } from "./application";
import { CreateCredential } from "./create";
import { CredentialsTable } from "./credentials";
import { Secret } from "./secret";

/** The application of the session, and the credentials that open it. */
export function AccessView() {
  const application = useResource("", (signal) => getApplication(api(), signal));
  const credentials = useResource("", (signal) => listCredentials(api(), signal));
  const [shown, setShown] = useState<WithSecret>();
  const [isCreating, setCreating] = useState(false);

  const onSecret = (secret: WithSecret) => {
    setShown(secret);
    setCreating(false);
    credentials.reload();
  };

  return (
    <>
      <PageHead title="Access" lead="Collector keys send updates, management tokens do what their scopes allow." />
      {shown && <Secret key={shown.credential.credential_id} made={shown} onClose={() => setShown(undefined)} />}
      <Section
        title="Credentials"
        note={credentials.data && counted(credentials.data.length, "credential")}
        aside={
          !isCreating && (
            <button type="button" onClick={() => setCreating(true)}>
              New credential…
            </button>
          )
        }
      >
        {isCreating && <CreateCredential onCreated={onSecret} onClose={() => setCreating(false)} />}
        <Loaded resource={credentials} rows={4}>
          {(all) => <CredentialsTable credentials={all} onSecret={onSecret} onChange={credentials.reload} />}
        </Loaded>
      </Section>
      {/* Below the credentials, however many they are. */}
      {(credentials.data ?? credentials.error) && (
        <Loaded resource={application} rows={2}>
          {(data) => <ApplicationSection application={data} onChange={application.reload} />}
        </Loaded>
      )}
    </>
  );
}

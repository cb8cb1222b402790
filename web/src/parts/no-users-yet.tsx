import { Empty } from "./states";

/** An application without a user: the first step. */
export function NoUsersYet() {
  return (
    <section>
      <Empty title="No users yet" command={firstUpdate()}>
        A product sends the updates of its users with a collector key, which begins with <code>ufc_</code>. The first update of a user
        creates the profile. Try it:
      </Empty>
    </section>
  );
}

/** A first update, which this listener takes as any other. */
function firstUpdate(): string {
  const user = {
    user_id: "12345",
    company_id: "67890",
    campaign: { utm_source: "google" },
    metadata: { email: "john@acmeinc.com", name: "John Doe" },
  };
  return `curl -X POST ${new URL("v1/users", document.baseURI).href} \\
  -H 'X-Moesif-Application-Id: COLLECTOR_KEY' \\
  -d '${JSON.stringify(user)}'`;
}

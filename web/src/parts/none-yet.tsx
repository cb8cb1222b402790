import type { ProfileKind } from "../api/kinds";
import { Empty } from "./states";

const SAYS: Readonly<Record<ProfileKind["name"], string>> = {
  users: "A product sends the updates of its users",
  companies: "A product sends the updates of the companies that its users belong to",
  visitors: "Whoever is not known yet is a visitor. A product sends the updates of visitors",
};

/** An application without any profile of a kind: the first step. */
export function NoneYet({ of }: { of: ProfileKind }) {
  return (
    <section>
      <Empty title={`No ${of.name} yet`} command={firstUpdate(of)}>
        {SAYS[of.name]} with a collector key, which begins with <code>ufc_</code>. The first update of a {of.one} creates the profile. Try it:
      </Empty>
    </section>
  );
}

const CAMPAIGN = { utm_source: "google" };

const FIRST: Readonly<Record<ProfileKind["name"], object>> = {
  users: { user_id: "12345", company_id: "67890", campaign: CAMPAIGN, metadata: { email: "john@acmeinc.com", name: "John Doe" } },
  companies: { company_id: "67890", company_domain: "acmeinc.com", metadata: { name: "Acme Inc", plan: "team" } },
  visitors: { anonymous_id: "visitor-1", campaign: CAMPAIGN },
};

/** A first update, which this listener takes as any other. A visitor's is an update without a user id. */
function firstUpdate({ name }: ProfileKind): string {
  const path = name === "companies" ? "v1/companies" : "v1/users";
  return `curl -X POST ${new URL(path, document.baseURI).href} \\
  -H 'X-Moesif-Application-Id: COLLECTOR_KEY' \\
  -d '${JSON.stringify(FIRST[name])}'`;
}

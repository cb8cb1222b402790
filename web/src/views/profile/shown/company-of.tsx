import { COMPANIES } from "../../../api/kinds";
import type { CompanyOfUser } from "../../../api/profiles";
import type { User } from "../../../api/types";
import { CompanyLink } from "../../../parts/company-link";
import { Section } from "../../../parts/page";
import { Foreign } from "../../../parts/text";
import { cut } from "../../../parts/value";
import { can } from "../../../state/session";
import { nameOf } from "./words";

/** The company of a user, and how it was found. */
export function CompanyOf({ user, company: found }: { user: User; company: CompanyOfUser | undefined }) {
  if (!can(`read:${COMPANIES.scope}`)) return null;
  return <Section title="Company">{found ? <Company user={user} found={found} /> : <NoCompany user={user} />}</Section>;
}

function Company({ user, found: { company, match } }: { user: User; found: CompanyOfUser }) {
  const id = company.company_id ?? "";
  return (
    <dl class="pairs">
      <dt>Name</dt>
      <dd>
        <CompanyLink id={id} label={nameOf(company, id)} />
      </dd>
      <dt>Domain</dt>
      <dd>{company.company_domain ? <Foreign text={cut(company.company_domain, 300)} /> : <span class="soft">–</span>}</dd>
      <dt>Found by</dt>
      <dd>
        {match === "COMPANY_ID" ? (
          "the company id that updates of this user carried"
        ) : (
          <>
            the domain of the email address, <Foreign text={user.company_domain ?? ""} />, which this company alone has
          </>
        )}
      </dd>
    </dl>
  );
}

function NoCompany({ user: { company_id: id } }: { user: User }) {
  return (
    <p class="inside soft">
      {id === undefined ? (
        "No update named a company, and no company alone has the domain of a work address of this user."
      ) : (
        <>
          No update of the company <CompanyLink id={id} label={cut(id, 60)} /> was stored yet.
        </>
      )}
    </p>
  );
}

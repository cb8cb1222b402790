import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { COMPANIES, type ProfileKind } from "../../../api/kinds";
import type { Profile } from "../../../api/types";
import { Title } from "../../../parts/page";
import { Foreign } from "../../../parts/text";
import { cut } from "../../../parts/value";
import { CompanyLink } from "../../../parts/company-link";
import { initialsOf, nameOf, titlesOf } from "./words";

const HAS_PICTURES = document.querySelector<HTMLMetaElement>('meta[name="userfold-gravatar"]')?.content === "yes";

/** What is said where nothing else can be said of one. */
const NOTHING: Readonly<Record<ProfileKind["one"], string>> = {
  user: "no email address, title or company",
  company: "no domain",
  visitor: "a visitor, whose user id is not known yet",
};

/** Who this is. Without a profile, who it will be once it is loaded. */
export function Head({ of, id, profile, children }: { of: ProfileKind; id: string; profile: Profile | undefined; children?: ComponentChildren }) {
  const name = nameOf(profile ?? {}, id);
  const { email, title } = titlesOf(profile ?? {}, name);
  const isCompany = of === COMPANIES;
  const company = isCompany ? undefined : profile?.company_id;
  const domain = isCompany ? profile?.company_domain : undefined;
  const said = [email, title, domain].filter((each) => each !== undefined && each !== "");
  return (
    <header class="page-head who">
      <Avatar key={profile?.avatar_url} url={profile?.avatar_url} name={name} isSquare={isCompany} />
      <div class="who-name">
        <Title text={name} />
        <p class="soft">
          {said.map((text = "") => (
            <span key={text}>
              <Foreign text={cut(text, 120)} />
            </span>
          ))}
          {company !== undefined && (
            <span>
              company <CompanyLink id={company} label={cut(company, 60)} />
            </span>
          )}
          {profile && said.length === 0 && company === undefined && <span>{NOTHING[of.one]}</span>}
        </p>
      </div>
      {children && <div class="actions">{children}</div>}
    </header>
  );
}

/** Initials or, where the operator allows pictures of Gravatar and there is one, that. */
function Avatar({ url, name, isSquare }: { url: string | undefined; name: string; isSquare: boolean }) {
  const [hasFailed, setFailed] = useState(false);
  const picture = HAS_PICTURES && !hasFailed ? url : undefined;
  return (
    <div class={isSquare ? "avatar square" : "avatar"} aria-hidden="true">
      {picture ? <img src={picture} alt="" width="56" height="56" referrerpolicy="no-referrer" onError={() => setFailed(true)} /> : initialsOf(name)}
    </div>
  );
}

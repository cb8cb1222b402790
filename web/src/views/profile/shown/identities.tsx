import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { COMPANIES, USERS, idOf, keyLabel, type ProfileKind } from "../../../api/kinds";
import type { Campaign, Profile } from "../../../api/types";
import { companyPlace } from "../../../parts/company-link";
import { Copy } from "../../../parts/copy";
import { Section } from "../../../parts/page";
import { Foreign, counted, grouped } from "../../../parts/text";
import { Time } from "../../../parts/time";
import { asRead, cut } from "../../../parts/value";
import { href } from "../../../state/router";
import { can } from "../../../state/session";

/** Which identities belong to a profile. */
export function Identities({ of, profile }: { of: ProfileKind; profile: Profile }) {
  // An address that no update gave is the observed one.
  const sent = profile.ip_address === profile.observed_ip_address ? undefined : profile.ip_address;
  const isCompany = of === COMPANIES;
  const { company_id: company, anonymous_ids: visitors = [], merged_user_ids: merged = [] } = profile;
  return (
    <Section title="Identities">
      <dl class="pairs">
        <Id name={keyLabel(of)} text={idOf(of, profile)} />
        {isCompany ? (
          <Id name="Domain" text={profile.company_domain} />
        ) : (
          <Id name="Company id" text={company}>
            {company && <a href={companyPlace(company)}>open</a>}
          </Id>
        )}
        {of === USERS && <Ids name="Anonymous ids" one="anonymous id" ids={visitors.length > 0 || profile.anonymous_id === undefined ? visitors : [profile.anonymous_id]} />}
        {merged.length > 0 && <Ids name="Merged users" one="user id" ids={merged} />}
        <Id name="IP, sent" text={sent} />
        <Id name="IP, observed" text={profile.observed_ip_address} />
        {!isCompany && (
          <>
            <dt>Tokens</dt>
            <dd>{profile.alias_count ? `${counted(profile.alias_count, "session token")}, kept as digests` : "No session token"}</dd>
          </>
        )}
        <Id name="User agent" text={profile.user_agent_string} />
      </dl>
    </Section>
  );
}

/** More ids than these are shown when a person asks for them. */
const FEW = 3;

/** Ids of which the latest is the last; it is shown first. */
function Ids({ name, one, ids }: { name: string; one: string; ids: readonly string[] }) {
  const [showsAll, setShowsAll] = useState(false);
  const shownIds = showsAll ? ids.toReversed() : ids.slice(-FEW).toReversed();
  return (
    <>
      <dt>{name}</dt>
      <dd>
        {ids.length === 0 && <span class="soft">–</span>}
        {shownIds.map((id) => (
          <div key={id} class="id">
            <IdText text={id} what={one} />
          </div>
        ))}
        {shownIds.length < ids.length && (
          <button type="button" class="plain" onClick={() => setShowsAll(true)}>
            {grouped(ids.length - shownIds.length)} earlier
          </button>
        )}
      </dd>
    </>
  );
}

function Id({ name, text, children }: { name: string; text: string | undefined; children?: ComponentChildren }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>
        {text === undefined ? (
          <span class="soft">–</span>
        ) : (
          <>
            <IdText text={text} what={name[0]?.toLowerCase() + name.slice(1)} /> {children}
          </>
        )}
      </dd>
    </>
  );
}

function IdText({ text, what }: { text: string; what: string }) {
  return (
    <>
      <code>
        <bdi>{shown(text)}</bdi>
      </code>{" "}
      <Copy text={text} what={what} />
    </>
  );
}

/** No id is longer than 512 bytes; a user agent may be. */
function shown(id: string): string {
  const text = asRead(id);
  return text.length > 600 ? `${cut(text, 600)}…` : text;
}

/** What brought a user, or a company: the first and the latest campaign as they were sent, and all of them, merged. */
export function Campaigns({ profile }: { profile: Profile }) {
  const { initial_campaign: first, latest_campaign: latest, campaign: merged } = profile;
  if (!first && !latest && !merged) {
    return (
      <Section title="Campaigns">
        <p class="inside soft">No update named a campaign.</p>
      </Section>
    );
  }
  return (
    <Section title="Campaigns">
      <Touch name="First" hint="as it was sent" campaign={first} time={profile.initial_campaign_time} />
      <Touch name="Latest" hint="as it was sent" campaign={latest} time={profile.latest_campaign_time} />
      <Touch name="Merged" hint="of all updates, field by field" campaign={merged} />
    </Section>
  );
}

function Touch({ name, hint, campaign, time }: { name: string; hint: string; campaign: Campaign | undefined; time?: string | undefined }) {
  const fields = Object.entries(campaign ?? {});
  return (
    <div class="touch">
      <h3>
        {name} <small>{hint}</small>
        {time && (
          <small class="right">
            <Time of={time} />
          </small>
        )}
      </h3>
      {fields.length === 0 ? (
        <p class="soft">–</p>
      ) : (
        <dl class="pairs">
          {fields.map(([field, value]) => (
            <>
              <dt>{field}</dt>
              <dd>
                <Foreign text={cut(value ?? "", 300)} />
              </dd>
            </>
          ))}
        </dl>
      )}
    </div>
  );
}

/** What Userfold derives from other fields, named as such. */
export function Derived({ of, profile }: { of: ProfileKind; profile: Profile }) {
  const { browser, os, device } = profile.user_agent ?? {};
  const fields: readonly (readonly [string, string | undefined])[] = [
    ["email_domain", profile.email_domain],
    // A company's own is sent.
    ["company_domain", of === COMPANIES ? undefined : profile.company_domain],
    ["browser", [browser?.name, browser?.version].filter(Boolean).join(" ")],
    ["os", [os?.name, os?.version].filter(Boolean).join(" ")],
    ["device", [device?.brand, device?.model].filter(Boolean).join(" ") || device?.name],
  ];
  const known = fields.filter(([, value]) => value);
  if (known.length === 0) return null;
  return (
    <Section title="Derived" note="by Userfold, from other fields">
      <dl class="pairs">
        {known.map(([name, value]) => (
          <>
            <dt>{name}</dt>
            <dd>
              <Foreign text={value ?? ""} />
            </dd>
          </>
        ))}
      </dl>
    </Section>
  );
}

/** What went wrong with updates. Userfold keeps that for an application, never for one of its users. */
export function Wrong() {
  return (
    <Section title="What went wrong">
      <p class="inside soft">
        Refused updates and warnings are counted for the whole application, by library and reason; whose they were is not stored.
        {can("read:refusals") && (
          <>
            {" "}
            <a href={href(["inbox"])}>Open the inbox</a>
          </>
        )}
      </p>
    </Section>
  );
}

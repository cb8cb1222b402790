import type { ComponentChildren } from "preact";
import type { Campaign, User } from "../../api/types";
import { Copy } from "../../parts/copy";
import { Section } from "../../parts/page";
import { Foreign, counted } from "../../parts/text";
import { asRead, cut } from "../../parts/value";
import { href } from "../../state/router";
import { can } from "../../state/session";

/** Which identities belong to the user. */
export function Identities({ user }: { user: User }) {
  // An address that no update gave is the observed one.
  const sent = user.ip_address === user.observed_ip_address ? undefined : user.ip_address;
  return (
    <Section title="Identities">
      <dl class="pairs">
        <Id name="User id" text={user.user_id} />
        <Id name="Company id" text={user.company_id}>
          {user.company_id && (
            <a href={href(["users"], { company: user.company_id })}>
              users
            </a>
          )}
        </Id>
        <Id name="Anonymous id" text={user.anonymous_id} />
        <Id name="IP, sent" text={sent} />
        <Id name="IP, observed" text={user.observed_ip_address} />
        <dt>Tokens</dt>
        <dd>{user.alias_count ? `${counted(user.alias_count, "session token")}, kept as digests` : "No session token"}</dd>
        <Id name="User agent" text={user.user_agent_string} />
      </dl>
    </Section>
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
            <code>
              <bdi>{shown(text)}</bdi>
            </code>{" "}
            <Copy text={text} what={name[0]?.toLowerCase() + name.slice(1)} /> {children}
          </>
        )}
      </dd>
    </>
  );
}

/** No id is longer than 512 bytes; a user agent may be. */
function shown(id: string): string {
  const text = asRead(id);
  return text.length > 600 ? `${cut(text, 600)}…` : text;
}

/** What brought the user: the first campaign as it was sent, and all of them, merged. */
export function Campaigns({ user }: { user: User }) {
  if (!user.initial_campaign && !user.campaign) {
    return (
      <Section title="Campaigns">
        <p class="inside soft">No update named a campaign.</p>
      </Section>
    );
  }
  return (
    <Section title="Campaigns">
      <Touch name="First" hint="as it was sent" campaign={user.initial_campaign} />
      <Touch name="Merged" hint="of all updates, field by field" campaign={user.campaign} />
    </Section>
  );
}

function Touch({ name, hint, campaign }: { name: string; hint: string; campaign: Campaign | undefined }) {
  const fields = Object.entries(campaign ?? {});
  return (
    <div class="touch">
      <h3>
        {name} <small>{hint}</small>
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
export function Derived({ user }: { user: User }) {
  const { browser, os, device } = user.user_agent ?? {};
  const fields: readonly (readonly [string, string | undefined])[] = [
    ["email_domain", user.email_domain],
    ["company_domain", user.company_domain],
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

import type { ComponentChildren } from "preact";
import type { Profile } from "../../../api/types";
import { Foreign } from "../../../parts/text";
import { Time } from "../../../parts/time";
import { deviceOf, touchOf } from "./words";

/** Since when, through what and with what: the facts that people ask for first. */
export function Facts({ profile }: { profile: Profile }) {
  const facts: readonly (readonly [string, ComponentChildren])[] = [
    ["First seen", <Time of={profile.created_time} />],
    ["Last update", <Time of={profile.stored_time ?? profile.modified_time} />],
    ["First touch", <Word text={touchOf(profile.initial_campaign)} />],
    ["Latest touch", <Word text={touchOf(profile.latest_campaign)} />],
    ["Merged campaign", <Word text={touchOf(profile.campaign)} />],
    ["Device", <Word text={deviceOf(profile)} />],
  ];
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Word({ text }: { text: string }) {
  return text ? <Foreign text={text} /> : <span class="soft">–</span>;
}

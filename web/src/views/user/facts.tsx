import type { ComponentChildren } from "preact";
import type { User } from "../../api/types";
import { Foreign } from "../../parts/text";
import { Time } from "../../parts/time";
import { deviceOf, touchOf } from "./words";

/** Since when, through what and with what: the facts that people ask for first. */
export function Facts({ user }: { user: User }) {
  const facts: readonly (readonly [string, ComponentChildren])[] = [
    ["First seen", <Time of={user.created_time} />],
    ["Last update", <Time of={user.stored_time ?? user.modified_time} />],
    ["First touch", <Word text={touchOf(user.initial_campaign)} />],
    ["Merged campaign", <Word text={touchOf(user.campaign)} />],
    ["Device", <Word text={deviceOf(user)} />],
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

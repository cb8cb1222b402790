import { useMemo } from "preact/hooks";
import type { User } from "../../api/types";
import { LongText } from "../../parts/long-text";
import { Section } from "../../parts/page";
import { visible } from "../../parts/value";

/** The profile as the API returns it. */
export function Raw({ user }: { user: User }) {
  const text = useMemo(() => visible(JSON.stringify(user, null, 2)), [user]);
  return (
    <Section title="Raw JSON" note="as POST /v1/users:batchGet returns it">
      <LongText text={text} label="Raw JSON" />
    </Section>
  );
}

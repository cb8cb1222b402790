import { useMemo } from "preact/hooks";
import type { Profile } from "../../../api/types";
import { LongText } from "../../../parts/long-text";
import { Section } from "../../../parts/page";
import { visible } from "../../../parts/value";

/** The profile as the API returns it: by which request. */
export function Raw({ profile, request }: { profile: Profile; request: string }) {
  const text = useMemo(() => visible(JSON.stringify(profile, null, 2)), [profile]);
  return (
    <Section title="Raw JSON" note={`as ${request} returns it`}>
      <LongText text={text} label="Raw JSON" />
    </Section>
  );
}

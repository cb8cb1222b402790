import { NoneYet } from "../../parts/none-yet";
import { Empty } from "../../parts/states";
import { href } from "../../state/router";
import type { Source } from "./source";

/** A list without a profile: none matches, or none was sent yet. */
export function Nothing({ source }: { source: Source }) {
  const { of } = source;
  if (source.kind === "filter" && !source.filter.trim()) return <NoneYet of={of} />;
  return (
    <section>
      <Empty title={source.kind === "filter" ? `No ${of.one} matches this filter` : `There are no such ${of.name}`}>
        <a href={href([of.name])}>Show all {of.name}</a>
      </Empty>
    </section>
  );
}

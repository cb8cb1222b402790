import { NoUsersYet } from "../../parts/no-users-yet";
import { Empty } from "../../parts/states";
import { href } from "../../state/router";
import type { Source } from "./source";

/** A list without a user: nobody matches, or nobody was sent yet. */
export function NoUsers({ source }: { source: Source }) {
  if (source.kind === "filter" && !source.filter.trim()) return <NoUsersYet />;
  return (
    <section>
      <Empty title={source.kind === "filter" ? "No user matches this filter" : "There are no such users"}>
        <a href={href(["users"])}>Show all users</a>
      </Empty>
    </section>
  );
}

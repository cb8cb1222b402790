import type { User } from "../../api/types";
import { Skeleton } from "../../parts/states";
import { href, route } from "../../state/router";
import { Conflict } from "./edit/conflict";
import { EditableMetadata } from "./edit/edit-metadata";
import { Fields } from "./edit/fields";
import { Review } from "./edit/review";
import type { Editing } from "./edit/use-editing";
import { Facts } from "./facts";
import { Campaigns, Derived, Identities, Wrong } from "./identities";
import { Raw } from "./raw";

interface Properties {
  userId: string;
  /** Undefined while it is loading. */
  user: User | undefined;
  editing: Editing | null;
  /** Undefined where the token does not allow to edit. */
  begin: (() => void) | undefined;
  onSent: (report: string) => void;
}

/** What is below the head of the page: the profile, its JSON, or the update that is being made. */
export function Content(properties: Properties) {
  const { userId, user, editing, onSent } = properties;
  const isRaw = route.value.query["tab"] === "raw";
  if (editing?.step.name === "conflict") return <Conflict editing={editing} now={editing.step.now} />;
  // All at once, since how high each part is depends on what is in it.
  if (!user) {
    return (
      <section class="loading">
        <Skeleton rows={12} />
      </section>
    );
  }
  const isReview = editing?.step.name === "review";
  return (
    <>
      {isReview && <Review editing={editing} onSent={onSent} />}
      <div hidden={isReview}>
        <Facts user={user} />
        <nav class="tabs" aria-label="Parts of the profile">
          <a href={href(["user", userId])} aria-current={isRaw ? undefined : "page"}>
            Profile
          </a>
          <a href={href(["user", userId], { tab: "raw" })} aria-current={isRaw ? "page" : undefined}>
            Raw JSON
          </a>
        </nav>
        {isRaw ? <Raw user={user} /> : <Profile {...properties} user={user} />}
      </div>
    </>
  );
}

function Profile({ user, editing, begin }: Properties & { user: User }) {
  return (
    <div class="columns">
      <div>
        <EditableMetadata metadata={editing?.draft.metadata ?? user.metadata ?? {}} editing={editing} begin={begin} />
      </div>
      <div>
        {editing && <Fields editing={editing} />}
        <Identities user={user} />
        <Campaigns user={user} />
        <Derived user={user} />
        <Wrong />
      </div>
    </div>
  );
}

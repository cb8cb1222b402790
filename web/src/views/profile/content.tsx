import { USERS } from "../../api/kinds";
import type { CompanyOfUser } from "../../api/profiles";
import type { User } from "../../api/types";
import { route } from "../../state/router";
import { CompanyOf } from "./shown/company-of";
import { Conflict } from "./edit/conflict";
import { EditableMetadata } from "./edit/edit-metadata";
import { Fields } from "./edit/fields";
import { Review } from "./edit/review";
import type { Editing } from "./edit/use-editing";
import { Facts } from "./shown/facts";
import { Campaigns, Derived, Identities, Wrong } from "./shown/identities";
import { Raw } from "./shown/raw";
import { LoadingProfile, Tabs } from "./shown/tabs";

interface Properties {
  userId: string;
  /** Undefined while it is loading. */
  user: User | undefined;
  company: CompanyOfUser | undefined;
  editing: Editing | null;
  /** Undefined where the token does not allow to edit. */
  begin: (() => void) | undefined;
  onSent: (report: string) => void;
}

/** What is below the head of the page: the profile, its JSON, or the update that is being made. */
export function Content(properties: Properties) {
  const { userId, user, editing, onSent } = properties;
  if (editing?.step.name === "conflict") return <Conflict editing={editing} now={editing.step.now} />;
  if (!user) return <LoadingProfile />;
  const isReview = editing?.step.name === "review";
  return (
    <>
      {isReview && <Review editing={editing} onSent={onSent} />}
      <div hidden={isReview}>
        <Facts profile={user} />
        <Tabs place={["user", userId]} />
        {route.value.query["tab"] === "raw" ? <Raw profile={user} request="POST /v1/users:batchGet" /> : <Profile {...properties} user={user} />}
      </div>
    </>
  );
}

function Profile({ user, company, editing, begin }: Properties & { user: User }) {
  return (
    <div class="columns">
      <div>
        <EditableMetadata metadata={editing?.draft.metadata ?? user.metadata ?? {}} editing={editing} begin={begin} />
      </div>
      <div>
        {editing && <Fields editing={editing} />}
        <Identities of={USERS} profile={user} />
        <CompanyOf user={user} company={company} />
        <Campaigns profile={user} />
        <Derived of={USERS} profile={user} />
        <Wrong />
      </div>
    </div>
  );
}

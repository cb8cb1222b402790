import type { ComponentType } from "preact";
import { announcement } from "./state/announce";
import { outage } from "./state/outage";
import { route } from "./state/router";
import { can, session } from "./state/session";
import { Help } from "./parts/help";
import { Rail } from "./parts/rail";
import { SearchBox } from "./parts/search-box";
import { CampaignsView } from "./views/campaigns/campaigns";
import { CatalogueView } from "./views/catalogue/catalogue";
import { HealthView } from "./views/health/health";
import { InboxView } from "./views/inbox/inbox";
import { AccessView, CompanyView, PrivacyView, VisitorView } from "./views/later";
import { CompaniesView, UsersView, VisitorsView } from "./views/list/list-view";
import { NotAllowed, NotFound } from "./views/not-found";
import { SignIn } from "./views/sign-in";
import { UserView } from "./views/profile/user";

export interface View {
  /** The first segment of the fragment. */
  readonly name: string;
  /** The label in the rail; without one, the view is reached from others only. */
  readonly label?: string;
  /** The name of the one in the rail that it belongs to. */
  readonly section?: string;
  /** The scopes of which the token needs one; none: every token may. */
  readonly scopes: readonly string[];
  readonly component: ComponentType;
}

export const VIEWS: readonly View[] = [
  { name: "users", label: "Users", scopes: ["read:users"], component: UsersView },
  { name: "user", section: "users", scopes: ["read:users"], component: UserView },
  { name: "companies", label: "Companies", scopes: ["read:companies"], component: CompaniesView },
  { name: "company", section: "companies", scopes: ["read:companies"], component: CompanyView },
  { name: "visitors", label: "Visitors", scopes: ["read:users"], component: VisitorsView },
  { name: "visitor", section: "visitors", scopes: ["read:users"], component: VisitorView },
  { name: "campaigns", label: "Campaigns", scopes: ["read:campaigns"], component: CampaignsView },
  { name: "inbox", label: "Inbox", scopes: ["read:refusals"], component: InboxView },
  { name: "catalogue", label: "Catalogue", scopes: ["read:users"], component: CatalogueView },
  { name: "privacy", label: "Privacy", scopes: ["delete:users", "read:users", "delete:companies", "read:companies"], component: PrivacyView },
  { name: "access", label: "Access", scopes: ["admin"], component: AccessView },
  { name: "health", label: "Health", scopes: [], component: HealthView },
];

export function isAllowed(view: View): boolean {
  return view.scopes.length === 0 || view.scopes.some(can);
}

export function App() {
  return (
    <>
      {session.value ? <Signed /> : <SignIn />}
      <div class="hidden" role="status" aria-live="polite">
        {announcement}
      </div>
    </>
  );
}

function Signed() {
  const name = route.value.view || VIEWS.find((each) => each.label && isAllowed(each))?.name;
  const view = VIEWS.find((each) => each.name === name);
  return (
    <div class="shell">
      <a class="skip" href="#main" onClick={skip}>
        Skip to the content
      </a>
      <Rail views={VIEWS.filter((each) => each.label && isAllowed(each))} current={view?.section ?? name} />
      <main id="main" tabIndex={-1}>
        {can("read:users") && <SearchBox />}
        {outage.value && (
          <p class="note warn outage" role="alert">
            Userfold does not answer at the moment. The console goes on as soon as it does.
          </p>
        )}
        {!view ? <NotFound /> : isAllowed(view) ? <view.component key={`${name}/${route.value.args.join("/")}`} /> : <NotAllowed view={view} />}
      </main>
      <Help />
    </div>
  );
}

function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

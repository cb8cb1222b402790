import { COMPANIES, VISITORS } from "../../api/kinds";
import type { Profile, User } from "../../api/types";
import { companyPlace } from "../company-link";
import { cut } from "../value";
import { href } from "../../state/router";
import { can } from "../../state/session";
import { emailOf, isDomain, nameOf, placeOf, placeOfDomain, type Suggestions } from "./find";

/** What a person can choose below the box. */
export type Option =
  | { readonly kind: "place"; readonly place: string; readonly label: string; readonly shown?: string; readonly profile?: Profile }
  | { readonly kind: "token" | "not-a-token"; readonly label: string };

const SHOWN_LENGTH = 80;

/** What a text that is no secret can be. `typed` has the blanks that somebody typed around it, too. */
export function optionsFor(typed: string, isFilter: boolean, { users, companies }: Suggestions): readonly Option[] {
  const text = typed.trim();
  if (!text) return [];
  const place = (label: string, to: string, shown: string): Option => ({ kind: "place", label, place: to, shown });
  const readsCompanies = can(`read:${COMPANIES.scope}`);
  const exactly = place("Open user id", href(["user", typed]), typed);
  if (isFilter) return [place("Filter:", href(["users"], { filter: text }), text), exactly];
  return [
    ...users.map(userOption),
    ...companies.map(companyOption),
    ...(companies.some((company) => company.company_id === text) ? [] : [place(readsCompanies ? "Open company" : "Users of company", companyPlace(text), text)]),
    ...(readsCompanies && isDomain(text) ? [place("Companies with the domain", placeOfDomain(text), text)] : []),
    ...(text.includes("@") ? [place("Users with the email address", href(["users"], { email: text }), text)] : []),
    place("User with the anonymous id", href(["users"], { anonymous: text }), text),
    place("Open visitor", href([VISITORS.one, text]), text),
    { kind: "token", label: "User with the token" },
    ...(users.some((user) => user.user_id === typed) ? [] : [exactly]),
  ];
}

/** What can be done with a text that is hidden, because it looks like a token. */
export const HIDDEN_OPTIONS: readonly Option[] = [
  { kind: "token", label: "Find the user with this token" },
  { kind: "not-a-token", label: "It is an id: show it" },
];

export function userOption(user: User): Option {
  return { kind: "place", place: placeOf(user), label: "", profile: user };
}

function companyOption(company: Profile): Option {
  return { kind: "place", place: companyPlace(company.company_id ?? ""), label: "", profile: company };
}

/** One option of the list, which the combobox names as its active descendant. */
export function OptionItem({ option, id, isActive, onChoose }: { option: Option; id: string; isActive: boolean; onChoose: () => void }) {
  const profile = option.kind === "place" ? option.profile : undefined;
  return (
    <li
      id={id}
      role="option"
      aria-selected={isActive}
      class={profile ? undefined : "other"}
      // The focus stays in the box.
      onMouseDown={(event) => event.preventDefault()}
      onClick={onChoose}
    >
      {profile ? <ProfileLine profile={profile} /> : <Line option={option} />}
    </li>
  );
}

/** A user or, where there is no user id, a company. */
function ProfileLine({ profile }: { profile: Profile }) {
  const { user_id: userId, company_id: companyId = "", company_domain: domain = "" } = profile;
  const said = userId === undefined ? ["company", nameOf(profile), domain] : [nameOf(profile), emailOf(profile)];
  return (
    <>
      <b>
        <bdi>{short(userId ?? companyId)}</bdi>
      </b>
      {said.filter(Boolean).map((each) => (
        <bdi key={each}>{short(each)}</bdi>
      ))}
    </>
  );
}

function Line({ option }: { option: Option }) {
  return (
    <>
      <span>{option.label}</span>
      {option.kind === "place" && option.shown !== undefined && <bdi class="shown">{short(option.shown)}</bdi>}
    </>
  );
}

function short(text: string): string {
  return text.length > SHOWN_LENGTH ? `${cut(text, SHOWN_LENGTH)}…` : text;
}

import type { User } from "../../api/types";
import { cut } from "../value";
import { href } from "../../state/router";
import { emailOf, nameOf, placeOf, type Suggestion } from "./find";

/** What a person can choose below the box. */
export type Option =
  | { readonly kind: "place"; readonly place: string; readonly label: string; readonly shown?: string; readonly user?: User }
  | { readonly kind: "token" | "not-a-token"; readonly label: string };

const SHOWN_LENGTH = 80;

/** What a text that is no secret can be. `typed` has the blanks that somebody typed around it, too. */
export function optionsFor(typed: string, isFilter: boolean, suggestions: readonly Suggestion[]): readonly Option[] {
  const text = typed.trim();
  if (!text) return [];
  const place = (label: string, to: string, shown: string): Option => ({ kind: "place", label, place: to, shown });
  const exactly = place("Open user id", href(["user", typed]), typed);
  if (isFilter) return [place("Filter:", href(["users"], { filter: text }), text), exactly];
  return [
    ...suggestions.map(({ user }) => userOption(user)),
    place("Users of company", href(["users"], { company: text }), text),
    ...(text.includes("@") ? [place("Users with the email address", href(["users"], { email: text }), text)] : []),
    place("User with the anonymous id", href(["users"], { anonymous: text }), text),
    { kind: "token", label: "User with the token" },
    ...(suggestions.some(({ user }) => user.user_id === typed) ? [] : [exactly]),
  ];
}

/** What can be done with a text that is hidden, because it looks like a token. */
export const HIDDEN_OPTIONS: readonly Option[] = [
  { kind: "token", label: "Find the user with this token" },
  { kind: "not-a-token", label: "It is an id: show it" },
];

export function userOption(user: User): Option {
  return { kind: "place", place: placeOf(user), label: "", user };
}

/** One option of the list, which the combobox names as its active descendant. */
export function OptionItem({ option, id, isActive, onChoose }: { option: Option; id: string; isActive: boolean; onChoose: () => void }) {
  const user = option.kind === "place" ? option.user : undefined;
  return (
    <li
      id={id}
      role="option"
      aria-selected={isActive}
      class={user ? undefined : "other"}
      // The focus stays in the box.
      onMouseDown={(event) => event.preventDefault()}
      onClick={onChoose}
    >
      {user ? <UserLine user={user} /> : <Line option={option} />}
    </li>
  );
}

function UserLine({ user }: { user: User }) {
  return (
    <>
      <b>
        <bdi>{short(user.user_id)}</bdi>
      </b>
      {[nameOf(user), emailOf(user)].filter(Boolean).map((each) => (
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

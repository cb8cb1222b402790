import { signal } from "@preact/signals";

/** What the fragment of the URL names: it is never sent to a server, so it may hold ids and filters. */
export interface Route {
  /** The view: the first segment, such as `users`. */
  readonly view: string;
  /** The remaining segments, decoded. */
  readonly args: readonly string[];
  readonly query: Readonly<Record<string, string>>;
}

export const route = signal<Route>(parse(location.hash));

/** Gets what goes on to the next page, where a person wants to leave one that has something to lose. */
type Guard = (proceed: () => void) => void;
let guard: Guard | null = null;

/** Let a page ask before it is left, until the returned function is called. Its own parameters may change. */
export function guardLeaving(ask: Guard): () => void {
  guard = ask;
  addEventListener("beforeunload", refuse);
  return () => {
    guard = null;
    removeEventListener("beforeunload", refuse);
  };
}

/** Do what ends the present page, such as signing out, once it may be left. */
export function leave(proceed: () => void): void {
  if (guard) guard(proceed);
  else proceed();
}

/** Browsers ask in their own words. */
function refuse(event: Event): void {
  event.preventDefault();
}

addEventListener("hashchange", () => {
  const next = parse(location.hash);
  const { view, args, query } = route.value;
  if (guard && href([next.view, ...next.args]) !== href([view, ...args])) {
    const { hash } = location;
    history.replaceState(history.state, "", href([view, ...args], query));
    guard(() => {
      guard = null;
      location.hash = hash;
    });
    return;
  }
  route.value = next;
});

/** The `href` of a view: `#/users?filter=...`. Parameters that are empty or undefined are left out. */
export function href(path: readonly string[], query: Readonly<Record<string, string | undefined>> = {}): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value) params.set(name, value);
  }
  const search = params.toString();
  return `#/${path.map(encodeURIComponent).join("/")}${search && `?${search}`}`;
}

export function navigate(path: readonly string[], query: Readonly<Record<string, string | undefined>> = {}): void {
  location.hash = href(path, query);
}

/** Change parameters of the present view without a new entry in the history. */
export function replaceQuery(changes: Readonly<Record<string, string | undefined>>): void {
  const { view, args, query } = route.value;
  history.replaceState(history.state, "", href([view, ...args], { ...query, ...changes }));
  route.value = parse(location.hash);
}

function parse(hash: string): Route {
  const [path = "", search = ""] = split(hash.replace(/^#\/?/, ""), "?");
  const [view = "", ...args] = path.split("/").map(decode);
  return { view, args, query: Object.fromEntries(new URLSearchParams(search)) };
}

function split(text: string, separator: string): [string, string] {
  const index = text.indexOf(separator);
  return index < 0 ? [text, ""] : [text.slice(0, index), text.slice(index + 1)];
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

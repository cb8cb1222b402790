import { useLayoutEffect, useRef } from "preact/hooks";
import { href, leave } from "../state/router";
import { session, signOut } from "../state/session";
import type { View } from "../app";
import { InboxCount } from "../views/inbox/count";

/** The sections, and below them whose session this is. On narrow screens a strip that scrolls. */
export function Rail({ views, current }: { views: readonly View[]; current: string | undefined }) {
  const identity = session.value?.identity;
  const sections = useRef<HTMLElement>(null);
  useLayoutEffect(() => {
    const link = sections.current?.querySelector<HTMLElement>("[aria-current]");
    if (link && sections.current) sections.current.scrollLeft = link.offsetLeft - (sections.current.clientWidth - link.offsetWidth) / 2;
  }, [current]);
  return (
    <div class="rail">
      <nav ref={sections} aria-label="Sections">
        <b>Userfold</b>
        {views.map(({ name, label }) => (
          <a key={name} href={href([name])} aria-current={name === current ? "page" : undefined}>
            {label}
            {name === "inbox" && <InboxCount />}
          </a>
        ))}
      </nav>
      {identity && (
        <div class="whose">
          <b dir="auto">{identity.application_name}</b>
          <span dir="auto">token “{identity.display_name}”</span>
          <span>{allowance(identity.scopes)}</span>
          <button type="button" class="plain" onClick={() => leave(signOut)}>
            Sign out
          </button>
        </div>
      )}
    </div>
  );
}

/** What scopes allow, in a few words. */
export function allowance(scopes: readonly string[]): string {
  if (scopes.includes("admin")) return "may do everything";
  const changes = scopes.filter((scope) => scope.startsWith("write:") || scope.startsWith("delete:"));
  if (changes.length === 0) return scopes.length === 0 ? "may do nothing" : "may read only";
  const verbs = [scopes.some((scope) => scope.startsWith("read:")) && "read", changes.some((scope) => scope.startsWith("write:")) && "change", changes.some((scope) => scope.startsWith("delete:")) && "erase"];
  return `may ${verbs.filter(Boolean).join(", ")}`;
}

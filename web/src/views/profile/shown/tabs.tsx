import { Skeleton } from "../../../parts/states";
import { href, route } from "../../../state/router";

/** The parts of a page: the profile, others between, and its JSON. */
export function Tabs({ place, others = [] }: { place: readonly string[]; others?: readonly (readonly [name: string, label: string])[] }) {
  const present = route.value.query["tab"] ?? "";
  return (
    <nav class="tabs" aria-label="Parts of the profile">
      {[["", "Profile"] as const, ...others, ["raw", "Raw JSON"] as const].map(([tab, label]) => (
        <a key={tab} href={href(place, { tab })} aria-current={tab === present ? "page" : undefined}>
          {label}
        </a>
      ))}
    </nav>
  );
}

/** All of a profile at once, since how high each part is depends on what is in it. */
export function LoadingProfile() {
  return (
    <section class="loading">
      <Skeleton rows={12} />
    </section>
  );
}

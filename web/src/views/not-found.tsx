import type { View } from "../app";
import { PageHead } from "../parts/page";

export function NotFound() {
  return <PageHead title="There is no such page" lead="The sections are on the left." />;
}

/** A view that the token does not allow, reached by a link. */
export function NotAllowed({ view }: { view: View }) {
  return (
    <PageHead
      title={`${view.label ?? "This page"}: not allowed`}
      lead={
        <>
          The token needs the scope <code>{view.scopes.join(" or ")}</code>. Sign in with another token to see this page.
        </>
      }
    />
  );
}

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { User } from "../../api/types";
import { Title } from "../../parts/page";
import { Foreign } from "../../parts/text";
import { cut } from "../../parts/value";
import { href } from "../../state/router";
import { initialsOf, nameOf, titlesOf } from "./words";

const HAS_PICTURES = document.querySelector<HTMLMetaElement>('meta[name="userfold-gravatar"]')?.content === "yes";

/** Who this is. Without a user, who it will be once it is loaded. */
export function Head({ userId, user, children }: { userId: string; user: User | undefined; children?: ComponentChildren }) {
  const shown = user ?? { user_id: userId };
  const { email, title } = titlesOf(shown);
  const company = user?.company_id;
  return (
    <header class="page-head who">
      <Avatar key={user?.avatar_url} user={shown} />
      <div class="who-name">
        <Title text={nameOf(shown)} />
        <p class="soft">
          {email && (
            <span>
              <Foreign text={email} />
            </span>
          )}
          {title && (
            <span>
              <Foreign text={title} />
            </span>
          )}
          {company && (
            <span>
              company{" "}
              <a href={href(["users"], { company })}>
                <Foreign text={cut(company, 60)} />
              </a>
            </span>
          )}
          {user && !email && !title && !company && <span>no email address, title or company</span>}
        </p>
      </div>
      {children && <div class="actions">{children}</div>}
    </header>
  );
}

/** Initials or, where the operator allows pictures of Gravatar and there is one, that. */
function Avatar({ user }: { user: User }) {
  const [hasFailed, setFailed] = useState(false);
  const url = HAS_PICTURES && !hasFailed ? user.avatar_url : undefined;
  return (
    <div class="avatar" aria-hidden="true">
      {url ? <img src={url} alt="" width="56" height="56" referrerpolicy="no-referrer" onError={() => setFailed(true)} /> : initialsOf(user)}
    </div>
  );
}

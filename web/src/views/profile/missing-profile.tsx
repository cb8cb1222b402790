import { COMPANIES, VISITORS, type ProfileKind } from "../../api/kinds";
import { usersOfVisitor } from "../../api/profiles";
import { Empty, Loaded } from "../../parts/states";
import { counted } from "../../parts/text";
import { useResource } from "../../state/resource";
import { href } from "../../state/router";
import { api, can } from "../../state/session";
import { curlOf } from "./curl";
import { nameOf } from "./shown/words";

/** There is no profile of this company or visitor: why that may be, and what to do. */
export function MissingProfile({ of, id }: { of: ProfileKind; id: string }) {
  const path = of === COMPANIES ? "v1/companies" : "v1/users";
  return (
    <Empty title={`Nothing is stored of this ${of.one}`} command={curlOf(path, { [of.key]: id, metadata: { name: "…" } })}>
      {of === VISITORS ? <UsersOfVisitor id={id} /> : <p>No update of this company was ever stored, or it was erased.</p>}
      {of === COMPANIES && can("read:users") && (
        <p>
          Users may name it all the same: <a href={href(["users"], { company: id })}>users with this company id</a>
        </p>
      )}
      <p>
        Ids are compared byte for byte, upper and lower case included. <a href={href([of.name])}>Look among all {of.name}</a>, or send an update,
        which creates the {of.one}:
      </p>
    </Empty>
  );
}

/** A visitor who is known is a part of a user. */
function UsersOfVisitor({ id }: { id: string }) {
  const found = useResource(id, (signal) => usersOfVisitor(api(), id, signal));
  return (
    <Loaded resource={found} rows={1}>
      {(users) =>
        users.length > 0 ? (
          <p>
            <strong>The visitor is known:</strong> {counted(users.length, "user")} {users.length === 1 ? "has" : "have"} this anonymous id.{" "}
            {users.map((user) => (
              <a key={user.user_id} href={href(["user", user.user_id])}>
                <bdi>{nameOf(user, user.user_id)}</bdi>{" "}
              </a>
            ))}
          </p>
        ) : (
          <p>No update of this visitor was ever stored, or the visitor was erased, or has expired.</p>
        )
      }
    </Loaded>
  );
}

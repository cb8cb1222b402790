import { suppressionOf } from "../../api/privacy";
import { Loaded, Empty } from "../../parts/states";
import { Time } from "../../parts/time";
import { useResource } from "../../state/resource";
import { href } from "../../state/router";
import { api, can } from "../../state/session";
import { curlOf } from "./curl";

/** There is no profile: why that may be, and what to do. */
export function Missing({ userId }: { userId: string }) {
  return (
    <Empty title="Nothing is stored of this user" command={curlOf("v1/users", { user_id: userId, metadata: { name: "…" } })}>
      {can("delete:users") ? <Suppressed userId={userId} /> : <p>No update of this id was ever stored, or the user was erased, or is suppressed: then updates are dropped.</p>}
      <p>
        Ids are compared byte for byte, upper and lower case included. <a href={href(["users"])}>Look among all users</a>, or send an update, which
        creates the user:
      </p>
    </Empty>
  );
}

function Suppressed({ userId }: { userId: string }) {
  const suppression = useResource(userId, async (signal) => (await suppressionOf(api(), userId, signal)) ?? null);
  return (
    <Loaded resource={suppression} rows={1}>
      {(found) =>
        found ? (
          <p>
            <strong>The user was erased and is suppressed:</strong> updates are dropped. It ends <Time of={found.end_time} />.{" "}
            <a href={href(["privacy"])}>Lift it in Privacy</a>
          </p>
        ) : (
          <p>The id is not suppressed: no update of it was ever stored, or the user was erased without a suppression.</p>
        )
      }
    </Loaded>
  );
}

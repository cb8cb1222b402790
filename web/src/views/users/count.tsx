import { useEffect } from "preact/hooks";
import { counted } from "../../parts/text";
import { announce } from "../../state/announce";
import { useResource } from "../../state/resource";
import { api } from "../../state/session";
import { BEGINNING_SIZE, filterOf } from "./source";
import type { UserList } from "./user-list";

/** How many users there are in a list, as soon as that is known. Its line is there from the beginning. */
export function UserCount({ list }: { list: UserList }) {
  void list.changes.value;
  if (list.error) return <>&nbsp;</>;
  if (!list.hasBegun) return <>Loading …</>;
  if (!list.isWhole) return <Counted filter={filterOf(list.source)} />;
  if (list.source.kind === "beginning" && list.length === BEGINNING_SIZE) return <Said text={`The first ${BEGINNING_SIZE} users`} />;
  return <Said text={counted(list.length, "user")} />;
}

const UNCOUNTED = new Set(["QUERY_TOO_SLOW", "INDEX_REQUIRED"]);

function Counted({ filter }: { filter: string | undefined }) {
  const { data, error } = useResource(`${filter}`, async (signal) => {
    if (filter === undefined) return undefined;
    return api().send<{ count: number | string }>("POST", "v1/users:count", { body: { filter }, signal });
  });
  if (data) return <Said text={counted(data.count ?? 0, "user")} />;
  if (filter === undefined) return <>More than are loaded</>;
  if (error && UNCOUNTED.has(error.reason)) return <Said text="More than can be counted quickly" />;
  return <>{error ? `Not counted: ${error.message}` : "Counting …"}</>;
}

function Said({ text }: { text: string }) {
  useEffect(() => announce(text), [text]);
  return <>{text}</>;
}

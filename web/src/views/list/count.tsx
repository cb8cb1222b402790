import { useEffect } from "preact/hooks";
import { counted } from "../../parts/text";
import { announce } from "../../state/announce";
import { useResource } from "../../state/resource";
import { api } from "../../state/session";
import type { List } from "./list";
import { BEGINNING_SIZE, filterOf, type Source } from "./source";

/** How many profiles there are in a list, as soon as that is known. Its line is there from the beginning. */
export function Count({ list }: { list: List }) {
  void list.changes.value;
  const { of } = list.source;
  if (list.error) return <>&nbsp;</>;
  if (!list.hasBegun) return <>Loading …</>;
  if (!list.isWhole) return <Counted of={of} filter={filterOf(list.source)} />;
  if (list.source.kind === "beginning" && list.length === BEGINNING_SIZE) return <Said text={`The first ${BEGINNING_SIZE} users`} />;
  return <Said text={counted(list.length, of.one, of.name)} />;
}

const UNCOUNTED = new Set(["QUERY_TOO_SLOW", "INDEX_REQUIRED"]);

function Counted({ of, filter }: { of: Source["of"]; filter: string | undefined }) {
  const { data, error } = useResource(`${filter}`, async (signal) => {
    if (filter === undefined) return undefined;
    return api().send<{ count: number | string }>("POST", `v1/${of.name}:count`, { body: { filter }, signal });
  });
  if (data) return <Said text={counted(data.count ?? 0, of.one, of.name)} />;
  if (filter === undefined) return <>More than are loaded</>;
  if (error && UNCOUNTED.has(error.reason)) return <Said text="More than can be counted quickly" />;
  return <>{error ? `Not counted: ${error.message}` : "Counting …"}</>;
}

function Said({ text }: { text: string }) {
  useEffect(() => announce(text), [text]);
  return <>{text}</>;
}

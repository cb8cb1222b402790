import type { ComponentChildren } from "preact";
import { useMemo, useRef, useState } from "preact/hooks";
import { countValues, kindOf } from "../../../api/json";
import { pathText } from "../../../api/paths";
import type { JsonObject } from "../../../api/types";
import { PathIcon } from "../../../parts/icons";
import { Copy } from "../../../parts/copy";
import { Section } from "../../../parts/page";
import { counted, grouped } from "../../../parts/text";
import { Tree, type TreeProperties } from "../../../parts/tree";
import { find, type TreeRow } from "../../../parts/tree-rows";
import { matcher } from "../../../parts/value";

export const PREFIX = ["metadata"] as const;

/** What is known, as a tree that can be searched. */
export function Metadata({ metadata, tree, aside, children }: {
  metadata: JsonObject;
  tree?: Partial<TreeProperties>;
  /** What is beside the search, and what is above the tree. */
  aside?: ComponentChildren;
  children?: ComponentChildren;
}) {
  const [typed, setTyped] = useState("");
  const field = useRef<HTMLInputElement>(null);
  const mark = useMemo(() => matcher(typed), [typed]);
  const found = useMemo(() => (mark ? find(metadata, mark) : null), [metadata, mark]);
  const count = useMemo(() => countValues(metadata), [metadata]);
  const actions = (row: TreeRow) => (
    <>
      {tree?.actions?.(row)}
      <Copy text={pathText([...PREFIX, ...row.path])} what="path" icon={<PathIcon />} />
      <Copy text={JSON.stringify(row.value)} what={kindOf(row.value) === "object" || kindOf(row.value) === "array" ? "value as JSON" : "value"} />
    </>
  );
  const clear = (event: KeyboardEvent) => {
    if (event.key !== "Escape" || !typed) return;
    event.preventDefault();
    setTyped("");
  };
  return (
    <Section
      title="Metadata"
      note={counted(count, "value")}
      aside={
        <span class="tree-search">
          {aside}
          <small role="status">{found && (found.count > found.matches.size ? `${grouped(found.matches.size)} of ${counted(found.count, "match", "matches")}` : counted(found.count, "match", "matches"))}</small>
          <input
            ref={field}
            type="search"
            value={typed}
            onInput={(event) => setTyped(event.currentTarget.value)}
            onKeyDown={clear}
            aria-label="Search keys and values"
            placeholder="Search keys and values"
            autocomplete="off"
            spellcheck={false}
          />
        </span>
      }
    >
      {children}
      {count === 0 ? (
        <p class="inside soft">Nothing is known yet: no update had metadata.</p>
      ) : found?.count === 0 ? (
        <p class="inside soft">No key and no value matches.</p>
      ) : (
        <Tree label="Metadata" root={metadata} prefix={PREFIX} mark={mark} found={found} {...tree} actions={actions} />
      )}
    </Section>
  );
}

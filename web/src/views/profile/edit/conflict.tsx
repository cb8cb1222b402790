import { useLayoutEffect, useRef } from "preact/hooks";
import { isEqual, valueAt } from "../../../api/json";
import { pathId, pathText } from "../../../api/paths";
import type { User } from "../../../api/types";
import { Section } from "../../../parts/page";
import { counted } from "../../../parts/text";
import { Cell, PathHead } from "./changes";
import { differences, fieldsOf, type Change } from "./draft";
import type { Editing } from "./use-editing";

/** The profile has changed since it was read: what is stored now, beside what the person has read and wants. */
export function Conflict({ editing, now }: { editing: Editing; now: User }) {
  const { draft, changes, go, rebase, undo } = editing;
  const top = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => top.current?.focus(), []);
  const read = fieldsOf(draft.base);
  const stored = fieldsOf(now);
  const mine = new Map(changes.map((change) => [pathId(change.path), change]));
  const theirs = differences(read, stored).filter(({ path }) => !mine.has(pathId(path)));
  const rows: readonly { path: Change["path"]; own?: Change }[] = [...changes.map((own) => ({ path: own.path, own })), ...theirs.map(({ path }) => ({ path }))];
  const isErased = now.created_time === undefined;
  return (
    <div ref={top} tabIndex={-1} class="review">
      <p class="note warn" role="alert">
        {isErased
          ? "The user has been erased since you read the profile. Sending your changes would create a new one with them alone."
          : "The profile has changed since you read it. Nothing was overwritten, and nothing of yours is stored yet."}
      </p>
      <Section title="What is stored, and what you want">
        <div class="scrolls">
          <table class="changes" aria-label="Conflict">
            <thead>
              <tr>
                {["Field", "You read", "Stored now", "Yours"].map((name) => (
                  <th key={name} scope="col">
                    {name}
                  </th>
                ))}
                <th>
                  <span class="hidden">Action</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {rows.map(({ path, own }) => {
                const isBoth = own && !isEqual(valueAt(read, path), valueAt(stored, path));
                return (
                  <tr key={pathText(path)} class={isBoth ? "both" : ""}>
                    <PathHead change={{ path }} />
                    <Cell name="You read" value={valueAt(read, path)} />
                    <Cell name="Stored now" value={valueAt(stored, path)} />
                    {own ? <Cell name="Yours" value={own.after} /> : <td data-label="Yours"><span class="soft">no change</span></td>}
                    <td>
                      {own && (
                        <button type="button" onClick={() => undo(own)}>
                          Drop mine
                        </button>
                      )}
                    </td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      </Section>
      <div class="buttons">
        {changes.length > 0 && (
          <button type="button" class="primary" onClick={() => rebase(now)}>
            Apply my {counted(changes.length, "change")} to what is stored now
          </button>
        )}
        <button type="button" onClick={() => (changes.length > 0 ? go({ name: "edit" }) : rebase(now))}>
          Back
        </button>
      </div>
    </div>
  );
}

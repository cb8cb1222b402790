import type { ComponentChildren } from "preact";
import { pathText } from "../../../api/paths";
import type { Json } from "../../../api/types";
import { Value, cut, visible } from "../../../parts/value";
import type { Change } from "./draft";

/** A table of changes: where, and what is there before and after. */
export function Changes({ label, changes, columns, action }: {
  label: string;
  changes: readonly Change[];
  columns: readonly [string, string];
  /** What can be done with one of them. */
  action?: (change: Change) => ComponentChildren;
}) {
  return (
    <div class="scrolls">
      <table class="changes" aria-label={label}>
        <thead>
          <tr>
            <th scope="col">Field</th>
            {columns.map((column) => (
              <th key={column} scope="col">
                {column}
              </th>
            ))}
            {action && <th><span class="hidden">Action</span></th>}
          </tr>
        </thead>
        <tbody>
          {changes.map((change) => (
            <tr key={pathText(change.path)}>
              <PathHead change={change} />
              <Cell name={columns[0]} value={change.before} />
              <Cell name={columns[1]} value={change.after} />
              {action && <td>{action(change)}</td>}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function PathHead({ change }: { change: Pick<Change, "path"> }) {
  return (
    <th scope="row">
      <code>
        <bdi>{cut(visible(pathText(change.path)), 300)}</bdi>
      </code>
    </th>
  );
}

export function Cell({ name, value }: { name: string; value: Json | undefined }) {
  return (
    <td data-label={name}>{value === undefined ? <span class="soft">not there</span> : <Value of={value} limit={300} />}</td>
  );
}

import type { ApiError } from "../api/errors";
import { ErrorNote } from "./states";

/** The characters that are shown before and after the one at which a filter cannot be read. */
const AROUND = 60;

/** Where a filter cannot be read: the text, a mark under the column, and what the server expects there. */
export function FilterError({ error, filter, retry }: { error: ApiError; filter: string; retry: () => void }) {
  const violation = error.violations.find(({ field }) => field === "filter");
  if (!violation) return <ErrorNote error={error} retry={retry} />;
  const column = Number(error.metadata["column"] ?? /^column (\d+):/.exec(violation.description)?.[1] ?? 0);
  const explanation = violation.description.replace(/^column \d+: /, "");
  if (!column) return <ErrorNote error={error} />;
  // Columns count code points, as a string's iterator does.
  const characters = [...filter].map((each) => (/\s/.test(each) ? " " : each));
  const start = Math.max(0, column - 1 - AROUND);
  const before = characters.slice(start, column - 1).join("");
  const [marked = " "] = characters.slice(column - 1);
  const after = characters.slice(column, column + AROUND).join("");
  return (
    <div class="note bad filter-error" role="alert">
      <p>
        <strong>The filter cannot be read at column {column}:</strong> {explanation}.
      </p>
      <pre dir="ltr">
        {start > 0 && "…"}
        {before}
        <b>{marked}</b>
        {after}
        {characters.length > column + AROUND && "…"}
      </pre>
    </div>
  );
}

import { useMemo, useState } from "preact/hooks";
import { useCatalogue } from "../../api/catalogue";
import { USERS } from "../../api/kinds";
import type { Catalogue } from "../../api/types";
import { SearchIcon } from "../../parts/icons";
import { NoneYet } from "../../parts/none-yet";
import { PageHead, Section } from "../../parts/page";
import { Empty, ErrorNote, Skeleton } from "../../parts/states";
import { counted, grouped } from "../../parts/text";
import { replaceQuery, route } from "../../state/router";
import { type Order, PathTable } from "./path-table";
import "./catalogue.css";

/** How many rows are shown before a person asks for all. */
const FEW_ROWS = 200;

/** Which paths exist in the metadata of users, and what is there: never a value. */
export function CatalogueView() {
  const { data, error, reload } = useCatalogue();
  return (
    <>
      <PageHead
        title="Catalogue"
        lead="Which paths the metadata of your users has, of which types, and what the values look like. No value of anybody is shown."
      />
      {error && <ErrorNote error={error} retry={reload} />}
      {data ? data.paths.length > 0 ? <Paths catalogue={data} /> : <Nothing catalogue={data} /> : !error && <Waiting />}
    </>
  );
}

function Paths({ catalogue }: { catalogue: Catalogue }) {
  const { q = "", conflicts = "", order = "path" } = route.value.query;
  const [showsAll, setShowsAll] = useState(false);
  const chosen = useMemo(() => {
    const words = q.toLowerCase().split(/\s+/);
    return catalogue.paths.filter(({ path, has_conflict }) => (!conflicts || has_conflict) && words.every((word) => path.toLowerCase().includes(word)));
  }, [catalogue, q, conflicts]);
  const present: Order = order === "users" ? "users" : "path";
  const sorted = present === "users" ? chosen.toSorted((one, other) => other.sampled_user_count - one.sampled_user_count) : chosen;
  const wrong = sorted.filter(({ has_conflict }) => has_conflict);
  const right = conflicts ? [] : sorted.filter(({ has_conflict }) => !has_conflict);
  const conflictCount = catalogue.paths.filter(({ has_conflict }) => has_conflict).length;
  return (
    <>
      <Sample catalogue={catalogue} />
      <div class="catalogue-controls">
        <label class="search">
          <SearchIcon />
          <input type="search" aria-label="Search the paths" placeholder="Search the paths" value={q} onInput={(event) => replaceQuery({ q: event.currentTarget.value })} />
        </label>
        <label class="check">
          <input type="checkbox" checked={conflicts !== ""} onChange={(event) => replaceQuery({ conflicts: event.currentTarget.checked ? "only" : undefined })} />{" "}
          Conflicts only ({grouped(conflictCount)})
        </label>
        <label class="check">
          Order{" "}
          <select value={present} onChange={(event) => replaceQuery({ order: event.currentTarget.value === "users" ? "users" : undefined })}>
            <option value="path">by path</option>
            <option value="users">most users first</option>
          </select>
        </label>
      </div>
      {wrong.length > 0 && (
        <Section title="Type conflicts" note={counted(wrong.length, "path")}>
          <p class="note warn">
            The values at these paths have different types. A filter, an order or a sum sees only the values of one type: <code>plan = 3</code> leaves out users who have the string{" "}
            <code>"3"</code>. Let all clients send one type, then send the other values again.
          </p>
          <PathTable catalogue={catalogue} paths={wrong} order={present} label="Paths with a type conflict" />
        </Section>
      )}
      {!conflicts && (
        <Section title={wrong.length > 0 ? "All other paths" : "Paths"} note={counted(right.length, "path")}>
          {right.length > 0 ? (
            <PathTable catalogue={catalogue} paths={showsAll ? right : right.slice(0, FEW_ROWS)} order={present} label="Paths" />
          ) : (
            <Empty title="No path matches" />
          )}
          {right.length > FEW_ROWS && !showsAll && (
            <p class="more">
              <button type="button" class="plain" onClick={() => setShowsAll(true)}>
                Show all {grouped(right.length)}
              </button>
            </p>
          )}
        </Section>
      )}
      {conflicts && wrong.length === 0 && (
        <section>
          <Empty title="No conflicts">
            <p>{conflictCount > 0 ? "None of the paths with a conflict matches the search." : "At each path, all sampled values have one type."}</p>
          </Empty>
        </section>
      )}
    </>
  );
}

/** What the numbers are about. */
function Sample({ catalogue }: { catalogue: Catalogue }) {
  const { sampled_user_count: sampled, estimated_user_count: all, is_complete: isComplete, has_more_paths: hasMore, paths } = catalogue;
  return (
    <p class="note">
      {isComplete ? (
        <>Computed from all {counted(all, "user")}. </>
      ) : (
        <>
          Computed from a random sample: <b>{grouped(sampled)}</b> of about <b>{counted(all, "user")}</b>. Rare paths and rare types may be missing, and counts of all users are estimates.{" "}
        </>
      )}
      {hasMore && <>There are more paths: these are the {grouped(paths.length)} that most users have. </>}
      The catalogue is at most a minute old.
    </p>
  );
}

function Nothing({ catalogue }: { catalogue: Catalogue }) {
  if (catalogue.estimated_user_count === 0) return <NoneYet of={USERS} />;
  return (
    <section>
      <Empty title="No user has metadata yet">Whatever an update has in its member metadata appears here within a minute.</Empty>
    </section>
  );
}

function Waiting() {
  return (
    <>
      <div class="note catalogue-waiting" />
      <section>
        <Skeleton rows={10} />
      </section>
    </>
  );
}


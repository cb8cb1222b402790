import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { COMPANIES, USERS, VISITORS, type ProfileKind } from "../../api/kinds";
import { Copy } from "../../parts/copy";
import { PageHead } from "../../parts/page";
import { ErrorNote } from "../../parts/states";
import { capitalised } from "../../parts/text";
import { recoveries } from "../../state/outage";
import { href, replaceQuery, route } from "../../state/router";
import { ColumnPicker } from "./column-picker";
import { columnAt, columnPaths, columnsParameter, rememberColumns, type Column } from "./columns";
import { Count } from "./count";
import { Nothing } from "./empty";
import { FilterBar } from "./filter-bar";
import { FilterError } from "../../parts/filter-error";
import { filterOf, placeOf, queryOf, sourceOf, type Source } from "./source";
import { Table } from "./table";
import { listOf, type List } from "./list";
import "./list.css";

export const UsersView = () => <ListView of={USERS} />;
export const CompaniesView = () => <ListView of={COMPANIES} />;
export const VisitorsView = () => <ListView of={VISITORS} />;

/** The profiles of one kind: those that a filter or a look-up finds, as many as there are. */
function ListView({ of }: { of: ProfileKind }) {
  const source = sourceOf(of, route.value.query);
  const { list, columns } = useList(source);
  return (
    <>
      <PageHead title={titleOf(source)} lead={<Count key={placeOf(source)} list={list} />}>
        <Copy text={location.href} what="link to this list" />
      </PageHead>
      <Listed list={list} columns={columns} />
    </>
  );
}

/** The list of a source, with the columns that the place, or this browser, names. */
export function useList(source: Source): { list: List; columns: readonly Column[] } {
  const { of } = source;
  const named = route.value.query["columns"];
  const parameter = columnsParameter(of, columnPaths(of, named));
  const columns = useMemo(() => columnPaths(of, parameter).map((path) => columnAt(of, path)).filter((each): each is Column => each !== undefined), [of, parameter]);
  const list = useMemo(() => listOf(source, columns), [placeOf(source), columns]);
  // A link that is copied from the browser shows the same columns to somebody else.
  useEffect(() => {
    if (parameter !== named) replaceQuery({ columns: parameter });
  }, [parameter, named]);
  return { list, columns };
}

/** A list, and what finds and orders its profiles. */
export function Listed({ list, columns }: { list: List; columns: readonly Column[] }) {
  void list.changes.value;
  const { error, source } = list;
  const { of } = source;
  const retry = () => {
    if (error?.violations.some(({ field }) => field === "page_token")) list.restart();
    list.refresh();
    list.changes.value += 1;
  };
  const setColumns = (chosen: readonly string[]) => {
    rememberColumns(of, chosen);
    replaceQuery({ columns: columnsParameter(of, chosen) });
  };
  const setOrder = (order: string) => {
    if (source.kind === "filter") replaceQuery({ order: queryOf({ ...source, order })["order"] });
  };
  const picker = <ColumnPicker of={of} paths={columns.map(({ path }) => path)} onChange={setColumns} />;
  const isOutage = error?.isOutage ?? false;
  useEffect(() => {
    const before = recoveries.value;
    return isOutage ? recoveries.subscribe((now) => now !== before && retry()) : undefined;
  }, [isOutage, list]);
  return (
    <>
      {source.kind === "filter" ? (
        <FilterBar
          source={source}
          onOrder={setOrder}
          columnPicker={picker}
          error={error && <FilterError error={error} filter={source.filter} retry={retry} />}
        />
      ) : (
        <>
          <LookupBar source={source} columnPicker={picker} />
          {error && <ErrorNote error={error} retry={retry} />}
        </>
      )}
      {list.hasBegun && list.length === 0 ? (
        <Nothing source={source} />
      ) : (
        (!error || list.hasBegun) && (
          <Table
            key={placeOf(source)}
            list={list}
            columns={columns}
            order={source.kind === "filter" ? source.order : undefined}
            onOrder={setOrder}
          />
        )
      )}
      {list.isCut && <p class="soft">The list goes no further. Narrow the filter, or turn the order around, to see other {of.name}.</p>}
    </>
  );
}

/** A look-up has an order of its own. What is more flexible is a filter. */
function LookupBar({ source, columnPicker }: { source: Source; columnPicker: ComponentChildren }) {
  const [isOpen, setOpen] = useState(false);
  const { of } = source;
  const filter = filterOf(source);
  return (
    <div class="filter-bar">
      <div class="filter-tools">
        {filter && (
          <a class="button" href={href([of.name], { filter, columns: route.value.query["columns"] })}>
            As a filter
          </a>
        )}
        <a class="button" href={href([of.name])}>
          All {of.name}
        </a>
        <button type="button" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
          Columns
        </button>
      </div>
      {isOpen && <div class="filter-panel">{columnPicker}</div>}
    </div>
  );
}

function titleOf(source: Source): string {
  switch (source.kind) {
    case "filter":
      return capitalised(source.of.name);
    case "beginning":
      return `Users whose id or email begins with ${source.text}`;
    case "lookup":
      return `Users of ${{ company_id: "company", email: "the email address", anonymous_id: "the anonymous id" }[source.by]} ${source.value}`;
  }
}

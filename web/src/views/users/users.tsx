import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { Copy } from "../../parts/copy";
import { PageHead } from "../../parts/page";
import { ErrorNote } from "../../parts/states";
import { recoveries } from "../../state/outage";
import { href, replaceQuery, route } from "../../state/router";
import { ColumnPicker } from "./column-picker";
import { columnAt, columnPaths, columnsParameter, rememberColumns, type Column } from "./columns";
import { UserCount } from "./count";
import { NoUsers } from "./empty";
import { FilterBar } from "./filter-bar";
import { FilterError } from "../../parts/filter-error";
import { filterOf, queryOf, sourceOf, type Order, type Source } from "./source";
import { UserTable } from "./table";
import { listOf, type UserList } from "./user-list";
import "./users.css";

/** The users of the application: those that a filter or a look-up finds, as many as there are. */
export function UsersView() {
  const { query } = route.value;
  const source = sourceOf(query);
  const parameter = columnsParameter(columnPaths(query["columns"]));
  const name = JSON.stringify(source);
  const columns = useMemo(() => columnPaths(parameter).map(columnAt).filter((each): each is Column => each !== undefined), [parameter]);
  const list = useMemo(() => listOf(source, columns), [name, columns]);
  // A link that is copied from the browser shows the same columns to somebody else.
  useEffect(() => {
    if (parameter !== query["columns"]) replaceQuery({ columns: parameter });
  }, [parameter, query["columns"]]);

  return (
    <>
      <PageHead title={titleOf(source)} lead={<UserCount key={name} list={list} />}>
        <Copy text={location.href} what="link to this list" />
      </PageHead>
      <Listed list={list} columns={columns} />
    </>
  );
}

function Listed({ list, columns }: { list: UserList; columns: readonly Column[] }) {
  void list.changes.value;
  const { error, source } = list;
  const retry = () => {
    if (error?.violations.some(({ field }) => field === "page_token")) list.restart();
    list.refresh();
    list.changes.value += 1;
  };
  const paths = columns.map(({ path }) => path);
  const picker = <ColumnPicker paths={paths} onChange={setColumns} />;
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
        <NoUsers source={source} />
      ) : (
        (!error || list.hasBegun) && (
          <UserTable
            key={JSON.stringify(source)}
            list={list}
            columns={columns}
            order={source.kind === "filter" ? source.order : undefined}
            onOrder={setOrder}
          />
        )
      )}
      {list.isCut && <p class="soft">The list goes no further. Narrow the filter, or turn the order around, to see other users.</p>}
    </>
  );
}

/** A look-up has an order of its own. What is more flexible is a filter. */
function LookupBar({ source, columnPicker }: { source: Source; columnPicker: ComponentChildren }) {
  const [isOpen, setOpen] = useState(false);
  const filter = filterOf(source);
  return (
    <div class="filter-bar">
      <div class="filter-tools">
        {filter && (
          <a class="button" href={href(["users"], { filter, columns: route.value.query["columns"] })}>
            As a filter
          </a>
        )}
        <a class="button" href={href(["users"])}>
          All users
        </a>
        <button type="button" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
          Columns
        </button>
      </div>
      {isOpen && <div class="filter-panel">{columnPicker}</div>}
    </div>
  );
}

function setColumns(paths: readonly string[]): void {
  rememberColumns(paths);
  replaceQuery({ columns: columnsParameter(paths) });
}

function setOrder(order: Order): void {
  const source = sourceOf(route.value.query);
  if (source.kind === "filter") replaceQuery({ order: queryOf({ ...source, order })["order"] });
}

function titleOf(source: Source): string {
  switch (source.kind) {
    case "filter":
      return "Users";
    case "beginning":
      return `Users whose id or email begins with ${source.text}`;
    case "lookup":
      return `Users of ${{ company_id: "company", email: "the email address", anonymous_id: "the anonymous id" }[source.by]} ${source.value}`;
  }
}

import { useRef } from "preact/hooks";
import type { CampaignGroup, CampaignReport } from "../../api/types";
import { Bar } from "../../parts/bar";
import { Choice } from "../../parts/choice";
import { type Cell, saveCsv } from "../../parts/csv";
import { Section } from "../../parts/page";
import { amount, grouped, shareText } from "../../parts/text";
import { href, replaceQuery, route } from "../../state/router";
import { useRowKeys } from "../../state/rows";
import { can } from "../../state/session";
import { GroupTable } from "./group-table";
import { fieldName, MANY_GROUPS, nameOf, NOT_SET, type ReportQuery, usersFilter, valuesOf } from "./query";

export const FORMS: readonly (readonly ["chart" | "table", string])[] = [
  ["chart", "Chart"],
  ["table", "Table"],
];

/** Users and values of each group: as bars, and as a table, which screen readers have in either form. */
export function Groups({ query, report }: { query: ReportQuery; report: CampaignReport }) {
  const { groups, total, has_more: hasMore } = report;
  const isTable = route.value.query["show"] === "table";
  return (
    <Section
      title="Groups"
      note={query.groupBy.map(fieldName).join(", then ")}
      aside={
        <span class="section-actions">
          <button type="button" onClick={() => saveCsv("campaigns.csv", rowsOf(query, report))}>
            CSV
          </button>
          <Choice
            label="Show the groups as"
            options={FORMS}
            chosen={isTable ? "table" : "chart"}
            onChoose={(form) => replaceQuery({ show: form === "table" ? form : undefined })}
          />
        </span>
      }
    >
      {!isTable && <GroupBars query={query} groups={groups} total={total} />}
      <div class={isTable ? "scrolls" : "hidden"} {...(isTable && { tabIndex: 0, role: "region", "aria-label": "Groups" })}>
        <GroupTable query={query} report={report} isLinked={isTable} />
      </div>
      {hasMore && (
        <p class="more">
          There are more groups: these are the {grouped(groups.length)} with the most users.{" "}
          {query.maxGroups < MANY_GROUPS && (
            <button type="button" class="plain" onClick={() => replaceQuery({ groups: "all" })}>
              Show up to {grouped(MANY_GROUPS)}
            </button>
          )}
        </p>
      )}
    </Section>
  );
}

function GroupBars({ query, groups, total }: { query: ReportQuery; groups: readonly CampaignGroup[]; total: CampaignGroup }) {
  const list = useRef<HTMLOListElement>(null);
  useRowKeys(list, "a");
  const hasValues = query.valuePath !== "";
  const mostUsers = Math.max(...groups.map(({ user_count }) => user_count));
  const mostValue = Math.max(...groups.map(({ value_sum }) => Math.abs(value_sum ?? 0)));
  return (
    <ol ref={list} class={hasValues ? "bars with-values" : "bars"} aria-label="Users of each group, as bars">
      <li class="bars-head" aria-hidden="true">
        <span>
          <span>Group</span>
          <span>Users</span>
          {hasValues && <span>Value</span>}
        </span>
      </li>
      {groups.map((group) => {
        const name = nameOf(query, group);
        const row = (
          <>
            <span class="group-name" title={name}>
              <GroupName values={valuesOf(query, group)} />{" "}
            </span>
            <Measured share={group.user_count / mostUsers} text={grouped(group.user_count)} note={shareText(group.user_count, total.user_count)} unit="users" />
            {hasValues &&
              (group.value_sum === undefined ? (
                <span class="measured soft">
                  <span>
                    none <small class="unit">value</small>
                  </span>
                </span>
              ) : (
                <Measured share={Math.abs(group.value_sum) / mostValue} text={amount(group.value_sum)} unit="value" isStriped />
              ))}
          </>
        );
        return (
          <li key={JSON.stringify(valuesOf(query, group))}>
            {can("read:users") ? (
              <a href={href(["users"], { filter: usersFilter(query, group) })}>{row}</a>
            ) : (
              <div>{row}</div>
            )}
          </li>
        );
      })}
    </ol>
  );
}

/** `unit` is seen where the columns have no head, and heard always. */
function Measured({ share, text, note, unit, isStriped = false }: { share: number; text: string; note?: string; unit: string; isStriped?: boolean }) {
  return (
    <span class="measured">
      <Bar share={share} isStriped={isStriped} />
      <span>
        {text} <small class="unit">{unit} </small>
        {note && <small>{note} </small>}
      </span>
    </span>
  );
}

/** The values of a group: `google / cpc`. */
export function GroupName({ values }: { values: readonly (string | undefined)[] }) {
  return (
    <>
      {values.map((value, index) => (
        <span key={index}>
          {index > 0 && <span class="soft"> / </span>}
          {value === undefined ? <i class="soft">{NOT_SET}</i> : <bdi>{value.slice(0, 200)}</bdi>}
        </span>
      ))}
    </>
  );
}

/** The report as rows of a CSV file, with a last row of all groups together. */
function rowsOf(query: ReportQuery, { groups, total }: CampaignReport): Cell[][] {
  const values = query.valuePath !== "";
  const numbers = (group: CampaignGroup): Cell[] => [
    group.user_count,
    ...(values ? [group.value_sum, group.value_average, group.value_count] : []),
  ];
  return [
    [...query.groupBy, "users", ...(values ? ["value_sum", "value_average", "users_with_value"] : [])],
    ...groups.map((group) => [...valuesOf(query, group), ...numbers(group)]),
    ["Total", ...query.groupBy.slice(1).map(() => ""), ...numbers(total)],
  ];
}

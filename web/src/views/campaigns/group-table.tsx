import type { CampaignGroup, CampaignReport } from "../../api/types";
import { amount, grouped, shareText } from "../../parts/text";
import { href } from "../../state/router";
import { can } from "../../state/session";
import { fieldName, NOT_SET, type ReportQuery, usersFilter, valuesOf } from "./query";

/** The groups in numbers. Where nobody sees it, nothing in it can have the focus. */
export function GroupTable({ query, report, isLinked }: { query: ReportQuery; report: CampaignReport; isLinked: boolean }) {
  const { groups, total, has_more: hasMore } = report;
  const hasValues = query.valuePath !== "";
  return (
    <table>
      <caption class="hidden">Users of each group</caption>
      <thead>
        <tr>
          {query.groupBy.map((field) => (
            <th key={field} scope="col">
              {fieldName(field)}
            </th>
          ))}
          <th scope="col" class="number">
            Users
          </th>
          <th scope="col" class="number">
            Share
          </th>
          {hasValues && (
            <>
              <th scope="col" class="number">
                Value
              </th>
              <th scope="col" class="number">
                Average
              </th>
              <th scope="col" class="number">
                Users with a value
              </th>
            </>
          )}
        </tr>
      </thead>
      <tbody>
        {groups.map((group) => (
          <tr key={JSON.stringify(valuesOf(query, group))}>
            {valuesOf(query, group).map((value, index) => (
              <td key={index} class="group-value">
                {value === undefined ? <i class="soft">{NOT_SET}</i> : <bdi>{value.slice(0, 200)}</bdi>}
              </td>
            ))}
            <td class="number">
              {isLinked && can("read:users") ? (
                <a href={href(["users"], { filter: usersFilter(query, group) })}>{grouped(group.user_count)}</a>
              ) : (
                grouped(group.user_count)
              )}
            </td>
            <td class="number">{shareText(group.user_count, total.user_count)}</td>
            {hasValues && <Values group={group} />}
          </tr>
        ))}
        {hasMore && <Others report={report} columns={query.groupBy.length} more={hasValues ? 3 : 0} />}
      </tbody>
      <tfoot>
        <tr>
          <th scope="row" colSpan={query.groupBy.length}>
            Total
          </th>
          <td class="number">{grouped(total.user_count)}</td>
          <td class="number">100 %</td>
          {hasValues && <Values group={total} />}
        </tr>
      </tfoot>
    </table>
  );
}

function Values({ group }: { group: CampaignGroup }) {
  return (
    <>
      <td class="number">{group.value_sum === undefined ? "–" : amount(group.value_sum)}</td>
      <td class="number">{group.value_average === undefined ? "–" : amount(group.value_average)}</td>
      <td class="number">{grouped(group.value_count)}</td>
    </>
  );
}

/** The users of the groups that the report leaves out. */
function Others({ report: { groups, total }, columns, more }: { report: CampaignReport; columns: number; more: number }) {
  const users = total.user_count - groups.reduce((sum, { user_count }) => sum + user_count, 0);
  return (
    <tr class="soft">
      <td colSpan={columns}>All other groups</td>
      <td class="number">{grouped(users)}</td>
      <td class="number">{shareText(users, total.user_count)}</td>
      {more > 0 && <td colSpan={more} />}
    </tr>
  );
}

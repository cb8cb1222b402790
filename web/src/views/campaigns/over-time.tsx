import type { CampaignReport, DayCount } from "../../api/types";
import { Choice } from "../../parts/choice";
import { type Cell, saveCsv } from "../../parts/csv";
import { Section } from "../../parts/page";
import { counted, grouped } from "../../parts/text";
import { replaceQuery, route } from "../../state/router";
import { Columns } from "./columns";
import {
  type Bucket,
  bucketsOf,
  dayInWords,
  earliestShown,
  type Interval,
  INTERVALS,
  intervalInWords,
  possibleIntervals,
  type Range,
  usualInterval,
} from "./days";
import { FORMS, GroupName } from "./groups";
import { nameOf, type ReportQuery, valuesOf } from "./query";

/** How many groups have a chart of their own. */
const CHARTS = 8;

interface Series {
  readonly name: string;
  readonly values: readonly (string | undefined)[];
  readonly buckets: readonly Bucket[];
  readonly users: number;
}

/** When the users were created: all together, and those of the largest groups side by side in one scale. */
export function OverTime({ query, report, today }: { query: ReportQuery; report: CampaignReport; today: string }) {
  const range = rangeOf(query, report.total.days, today);
  const possible = possibleIntervals(range);
  const wanted = route.value.query["interval"] ?? "";
  const interval = possible.find((each) => each === wanted) ?? usualInterval(range);
  const isTable = route.value.query["time"] === "table";
  const all = bucketsOf(report.total.days, range, interval);
  const series: Series[] = report.groups.slice(0, CHARTS).map((group) => ({
    name: nameOf(query, group),
    values: valuesOf(query, group),
    buckets: bucketsOf(group.days, range, interval),
    users: group.user_count,
  }));
  return (
    <Section
      title="Over time"
      note="users by the time of their creation, UTC"
      aside={
        <span class="section-actions">
          <Choice
            label="Count users by"
            options={INTERVALS.filter(([each]) => possible.includes(each))}
            chosen={interval}
            onChoose={(chosen) => replaceQuery({ interval: chosen })}
          />
          <button type="button" onClick={() => saveCsv("campaigns-over-time.csv", rowsOf(query, report, range, interval))}>
            CSV
          </button>
          <Choice
            label="Show the time as"
            options={FORMS}
            chosen={isTable ? "table" : "chart"}
            onChoose={(form) => replaceQuery({ time: form === "table" ? form : undefined })}
          />
        </span>
      }
    >
      {!isTable && (
        <div class="charts">
          <figure class="all">
            <figcaption>
              All users <small>{counted(report.total.user_count, "user")}</small>
            </figcaption>
            <Columns name="All users" buckets={all} interval={interval} most={largest(all)} />
          </figure>
          {series.length > 1 &&
            series.map(({ name, values, buckets, users }, index) => (
              <figure key={index}>
                <figcaption title={name}>
                  <GroupName values={values} /> <small>{counted(users, "user")}</small>
                </figcaption>
                <Columns name={name} buckets={buckets} interval={interval} most={Math.max(...series.map((each) => largest(each.buckets)))} />
              </figure>
            ))}
        </div>
      )}
      {!isTable && report.groups.length > CHARTS && <p class="more">The charts show the {CHARTS} largest groups, in one scale. The CSV has all.</p>}
      <div class={isTable ? "scrolls" : "hidden"} {...(isTable && { tabIndex: 0, role: "region", "aria-label": "Users over time" })}>
        <TimeTable all={all} series={series} interval={interval} />
      </div>
    </Section>
  );
}

function TimeTable({ all, series, interval }: { all: readonly Bucket[]; series: readonly Series[]; interval: Interval }) {
  return (
    <table>
      <caption class="hidden">Users of the largest groups over time</caption>
      <thead>
        <tr>
          <th scope="col">{interval === "day" ? "Day" : interval === "week" ? "Week from" : "Month"}</th>
          <th scope="col" class="number">
            All users
          </th>
          {series.map(({ values }, index) => (
            <th key={index} scope="col" class="number group-value">
              <GroupName values={values} />
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {all.map(({ start, users, isPart }, index) => (
          <tr key={start}>
            <th scope="row">
              {interval === "month" ? intervalInWords(start, interval) : dayInWords(start)} {isPart && <small>in part</small>}
            </th>
            <td class="number">{grouped(users)}</td>
            {series.map(({ buckets }, column) => (
              <td key={column} class="number">
                {grouped(buckets[index]?.users ?? 0)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** The days that the charts have: those of the query or, where it has no bound, from the first user until today. */
function rangeOf(query: ReportQuery, days: readonly DayCount[], today: string): Range {
  const last = query.lastDay && query.lastDay < today ? query.lastDay : today;
  const first = latest(query.firstDay || (days[0]?.day ?? today), earliestShown(last));
  return { first, last: last < first ? first : last, today };
}

function latest(one: string, other: string): string {
  return one > other ? one : other;
}

function largest(buckets: readonly Bucket[]): number {
  return Math.max(1, ...buckets.map(({ users }) => users));
}

/** A row for each group and interval with users, of all groups of the report. */
function rowsOf(query: ReportQuery, { groups }: CampaignReport, range: Range, interval: Interval): Cell[][] {
  const rows = groups.flatMap((group) =>
    bucketsOf(group.days, range, interval)
      .filter(({ users }) => users > 0)
      .map(({ start, users }): Cell[] => [start, ...valuesOf(query, group), users]),
  );
  return [[`${interval}_from`, ...query.groupBy, "users"], ...rows];
}

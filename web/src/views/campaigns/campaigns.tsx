import { useState } from "preact/hooks";
import { USERS } from "../../api/kinds";
import type { CampaignGroup, CampaignReport } from "../../api/types";
import { FilterError } from "../../parts/filter-error";
import { NoneYet } from "../../parts/none-yet";
import { PageHead } from "../../parts/page";
import { Empty, Skeleton } from "../../parts/states";
import { amount, grouped } from "../../parts/text";
import { href, replaceQuery, route } from "../../state/router";
import { useResource } from "../../state/resource";
import { api, can } from "../../state/session";
import { Controls } from "./controls";
import { dayOf } from "./days";
import { Groups } from "./groups";
import { OverTime } from "./over-time";
import { type ReportQuery, readQuery, requestOf, usersFilter } from "./query";
import "./campaigns.css";

/** What campaigns brought: users and their values, by the fields of their campaigns, and over time. */
export function CampaignsView() {
  // A report that stays open over midnight keeps its days until it is opened again.
  const [today] = useState(() => dayOf(Date.now()));
  const query = readQuery(route.value.query, today);
  const request = requestOf(query);
  const report = useResource(JSON.stringify(request), (signal) =>
    api().send<CampaignReport>("POST", "v1/campaigns:report", { body: request, signal }),
  );
  const { data, error } = report;
  const wrong = new Set(error?.violations.map(({ field }) => field));
  return (
    <>
      <PageHead
        title="Campaigns"
        lead={
          <>
            <b>First</b> is the campaign that a user arrived with, and <b>latest</b> the last one that the user clicked, each whole; <b>merged</b>{" "}
            is the latest value of each field.
          </>
        }
      />
      <Controls query={query} today={today} wrong={wrong} />
      {error && <FilterError error={error} filter={query.filter} retry={report.reload} />}
      {error?.reason === "QUERY_TOO_SLOW" && <Shorter query={query} />}
      {data ? <Report query={query} report={data} today={today} /> : !error && <Waiting />}
    </>
  );
}

function Report({ query, report, today }: { query: ReportQuery; report: CampaignReport; today: string }) {
  const { total, groups } = report;
  if (total.user_count === 0) return <Nobody query={query} />;
  return (
    <>
      <Facts query={query} total={total} groups={groups.length} hasMore={report.has_more} />
      <Groups query={query} report={report} />
      <OverTime query={query} report={report} today={today} />
    </>
  );
}

function Facts({ query, total, groups, hasMore }: { query: ReportQuery; total: CampaignGroup; groups: number; hasMore: boolean }) {
  const users = grouped(total.user_count);
  return (
    <dl class="facts">
      <div>
        <dt>Users created</dt>
        <dd>{can("read:users") ? <a href={href(["users"], { filter: usersFilter(query) })}>{users}</a> : users}</dd>
      </div>
      <div>
        <dt>Groups</dt>
        <dd>{hasMore ? `more than ${grouped(groups)}` : grouped(groups)}</dd>
      </div>
      {query.valuePath && (
        <>
          <div>
            <dt>Value</dt>
            <dd>{total.value_sum === undefined ? "–" : amount(total.value_sum)}</dd>
          </div>
          <div>
            <dt>Value per user with one</dt>
            <dd>{total.value_average === undefined ? "–" : amount(total.value_average)}</dd>
          </div>
          <div>
            <dt>Users with a value</dt>
            <dd>{grouped(total.value_count)}</dd>
          </div>
        </>
      )}
    </dl>
  );
}

/** What may help after QUERY_TOO_SLOW. */
function Shorter({ query }: { query: ReportQuery }) {
  const isShort = query.period === "7d";
  return (
    <p class="note">
      The report reads every user who was created in the range of time, for at most 20 seconds.{" "}
      {isShort ? (
        "Leave out the filter, or choose fewer days."
      ) : (
        <button type="button" onClick={() => replaceQuery({ period: "7d" })}>
          Show the last 7 days
        </button>
      )}
    </p>
  );
}

function Nobody({ query }: { query: ReportQuery }) {
  if (query.period === "all" && !query.filter) return <NoneYet of={USERS} />;
  return (
    <section>
      <Empty title="Nobody in this range of time">
        No user {query.filter && "that matches the filter "}was created in it.{" "}
        {query.period !== "all" && (
          <button type="button" class="plain" onClick={() => replaceQuery({ period: "all" })}>
            Show all time
          </button>
        )}
      </Empty>
    </section>
  );
}

/** As tall as a report. */
function Waiting() {
  return (
    <>
      <div class="facts">
        <div class="campaigns-waiting" />
      </div>
      <section>
        <Skeleton rows={9} />
      </section>
    </>
  );
}

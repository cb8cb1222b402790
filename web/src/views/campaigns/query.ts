import { quotedString } from "../../api/filter";
import type { CampaignGroup } from "../../api/types";
import { dayAfter, daysBefore } from "./days";

export const FIELDS = ["utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "referrer", "referring_domain", "gclid"] as const;

/** The campaigns of a user, by their fields, and as people call them. */
export const TOUCHES = [
  ["initial_campaign", "First"],
  ["latest_campaign", "Latest"],
  ["campaign", "Merged"],
] as const;

export const MAX_FIELDS = 4;

/** Ranges of time: their names in the URL, their labels, and their days, if their length is fixed. */
export const PERIODS = [
  ["7d", "Last 7 days", 7],
  ["30d", "Last 30 days", 30],
  ["90d", "Last 90 days", 90],
  ["year", "This year", 0],
  ["all", "All time", 0],
  ["custom", "From … to …", 0],
] as const;

export const FEW_GROUPS = 100;
export const MANY_GROUPS = 1000;

/** What the report is about. Days are in UTC, such as `2026-01-31`; an empty one is no bound. */
export interface ReportQuery {
  readonly groupBy: readonly string[];
  readonly period: string;
  readonly firstDay: string;
  readonly lastDay: string;
  readonly valuePath: string;
  readonly filter: string;
  readonly maxGroups: number;
}

const KNOWN = new Set(TOUCHES.flatMap(([touch]) => FIELDS.map((field) => `${touch}.${field}`)));

/** The query that the parameters of the fragment describe. What they do not say is as by default. */
export function readQuery(params: Readonly<Record<string, string>>, today: string): ReportQuery {
  const groupBy = [...new Set((params["by"] ?? "").split(","))].filter((field) => KNOWN.has(field)).slice(0, MAX_FIELDS);
  const period = PERIODS.find(([name]) => name === params["period"]) ?? PERIODS[1];
  const [name, , days] = period;
  const isCustom = name === "custom";
  return {
    groupBy: groupBy.length > 0 ? groupBy : ["initial_campaign.utm_source"],
    period: name,
    firstDay: isCustom ? day(params["from"]) : days ? daysBefore(today, days - 1) : name === "year" ? `${today.slice(0, 4)}-01-01` : "",
    lastDay: isCustom ? day(params["to"]) : "",
    valuePath: params["value"] ?? "",
    filter: params["filter"] ?? "",
    maxGroups: params["groups"] === "all" ? MANY_GROUPS : FEW_GROUPS,
  };
}

function day(text: string | undefined): string {
  return text && /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text)) ? text : "";
}

/** The body of `POST /v1/campaigns:report`. */
export function requestOf(query: ReportQuery): Readonly<Record<string, unknown>> {
  const { firstDay, lastDay, valuePath, filter } = query;
  return {
    group_by: query.groupBy,
    max_groups: query.maxGroups,
    ...(firstDay && { start_time: startOf(firstDay) }),
    ...(lastDay && { end_time: startOf(dayAfter(lastDay)) }),
    ...(valuePath && { value_path: valuePath }),
    ...(filter && { filter }),
  };
}

/** The filter for the users of a group or, without one, of the whole report. */
export function usersFilter(query: ReportQuery, group?: CampaignGroup): string {
  const { firstDay, lastDay, filter } = query;
  const conditions = [
    ...(group ? query.groupBy.map((field) => equals(field, group.campaign[field])) : []),
    firstDay && `created_time >= "${startOf(firstDay)}"`,
    lastDay && `created_time < "${startOf(dayAfter(lastDay))}"`,
    filter && `(${filter})`,
  ];
  return conditions.filter(Boolean).join(" AND ");
}

/** The condition that a field has a value or, for undefined, that it has none. */
function equals(path: string, value: string | undefined): string {
  return `${path} = ${value === undefined ? "null" : quotedString(value)}`;
}

function startOf(utcDay: string): string {
  return `${utcDay}T00:00:00Z`;
}

/** The name of a field: `first utm_source`. */
export function fieldName(field: string): string {
  const [touch = "", name = ""] = field.split(".");
  return `${TOUCHES.find(([each]) => each === touch)?.[1].toLowerCase()} ${name}`;
}

/** The values of a group, in the order of the fields. Undefined: its users do not have the field. */
export function valuesOf(query: ReportQuery, group: CampaignGroup): (string | undefined)[] {
  return query.groupBy.map((field) => group.campaign[field]);
}

export const NOT_SET = "not set";
const SEEN_CHARACTERS = 200;

/** A group in one line: `google / cpc`. */
export function nameOf(query: ReportQuery, group: CampaignGroup): string {
  return valuesOf(query, group)
    .map((value) => (value ?? NOT_SET).slice(0, SEEN_CHARACTERS))
    .join(" / ");
}

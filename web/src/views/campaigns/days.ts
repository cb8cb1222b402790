import type { DayCount } from "../../api/types";

// Days are in UTC, as `2026-01-31`: such strings have the order of the days.

export type Interval = "day" | "week" | "month";

export const INTERVALS: readonly (readonly [Interval, string])[] = [
  ["day", "Days"],
  ["week", "Weeks"],
  ["month", "Months"],
];

/** The most columns that a chart has. */
export const MAX_BUCKETS = 400;

/** The users of one day, week or month, from its first day on. */
export interface Bucket {
  readonly start: string;
  readonly users: number;
  /** Whether the range of time, or the time until now, has only some of its days. */
  readonly isPart: boolean;
}

export interface Range {
  readonly first: string;
  readonly last: string;
  readonly today: string;
}

const DAY_MILLISECONDS = 86_400_000;

export function dayOf(milliseconds: number): string {
  return new Date(milliseconds).toISOString().slice(0, 10);
}

export function daysBefore(day: string, days: number): string {
  return dayOf(Date.parse(day) - days * DAY_MILLISECONDS);
}

export function dayAfter(day: string): string {
  return daysBefore(day, -1);
}

/** The first day of the week (from Monday) or month that a day is in. */
export function startOfInterval(day: string, interval: Interval): string {
  if (interval === "day") return day;
  if (interval === "month") return `${day.slice(0, 7)}-01`;
  return daysBefore(day, (new Date(day).getUTCDay() + 6) % 7);
}

function nextStart(start: string, interval: Interval): string {
  if (interval !== "month") return daysBefore(start, interval === "day" ? -1 : -7);
  return startOfInterval(daysBefore(start, -31), "month");
}

/** The first days of all intervals in a range. */
export function starts({ first, last }: Range, interval: Interval): string[] {
  const found = [];
  for (let start = startOfInterval(first, interval); start <= last; start = nextStart(start, interval)) found.push(start);
  return found;
}

/** The finest interval that shows a range in a readable number of columns. */
export function usualInterval(range: Range): Interval {
  const days = (Date.parse(range.last) - Date.parse(range.first)) / DAY_MILLISECONDS;
  return days <= 45 ? "day" : days <= 400 ? "week" : "month";
}

/** The first day that a chart can show together with a last one: about 30 years before. */
export function earliestShown(last: string): string {
  return daysBefore(last, (MAX_BUCKETS - 1) * 28);
}

/** The intervals that a chart has room for. */
export function possibleIntervals(range: Range): Interval[] {
  const days = (Date.parse(range.last) - Date.parse(range.first)) / DAY_MILLISECONDS;
  return INTERVALS.map(([interval]) => interval).filter((interval) => days / { day: 1, week: 7, month: 28 }[interval] < MAX_BUCKETS);
}

/** The users of each interval of a range, also where there are none. */
export function bucketsOf(days: readonly DayCount[], range: Range, interval: Interval): Bucket[] {
  const users = new Map<string, number>();
  for (const { day, user_count } of days) {
    const start = startOfInterval(day, interval);
    users.set(start, (users.get(start) ?? 0) + Number(user_count));
  }
  return starts(range, interval).map((start) => {
    const end = nextStart(start, interval);
    return { start, users: users.get(start) ?? 0, isPart: start < range.first || end > dayAfter(range.last) || end > range.today };
  });
}

const inWords = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
const monthInWords = new Intl.DateTimeFormat("en-GB", { month: "long", year: "numeric", timeZone: "UTC" });

/** `23 Nov 2026`. */
export function dayInWords(day: string): string {
  return inWords.format(Date.parse(day));
}

/** `23 Nov 2026`, `Week of 23 Nov 2026`, `November 2026`. */
export function intervalInWords(start: string, interval: Interval): string {
  if (interval === "month") return monthInWords.format(Date.parse(start));
  return interval === "day" ? dayInWords(start) : `Week of ${dayInWords(start)}`;
}

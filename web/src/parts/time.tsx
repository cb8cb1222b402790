import { signal } from "@preact/signals";

const TICK_SECONDS = 30;

const now = signal(Date.now());
setInterval(() => {
  now.value = Date.now();
}, 1000 * TICK_SECONDS);

const UNITS: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ["year", 31_557_600],
  ["month", 2_629_800],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

/** A time as people say it, such as `4 minutes ago`. */
export function relativeTime(milliseconds: number, reference: number): string {
  const seconds = (milliseconds - reference) / 1000;
  for (const [unit, length] of UNITS) {
    if (Math.abs(seconds) >= length) return relative.format(seconds < 0 ? Math.trunc(seconds / length) : Math.round(seconds / length), unit);
  }
  // What has happened since the last tick is not in the future, nor is what a server says whose clock is a little ahead.
  return seconds <= TICK_SECONDS ? "just now" : "in a moment";
}

/** The exact time in UTC, such as `2026-11-29 14:02:11.250 UTC`. */
export function exactTime(time: string): string {
  const match = /^(\d+-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?Z$/.exec(time);
  return match ? `${match[1]} ${match[2]}${match[3] ?? ""} UTC` : time;
}

/** A time of the API: relative, with the exact time on hover and focus. Nothing where there is none. */
export function Time({ of: time }: { of: string | undefined }) {
  if (!time) return <span class="soft">–</span>;
  return (
    <time class="tipped" dateTime={time} tabIndex={0} onMouseEnter={placeTip} onFocus={placeTip}>
      {relativeTime(Date.parse(time), now.value)}
      <span class="tip">{exactTime(time)}</span>
    </time>
  );
}

const TIP_WIDTH = 220;

/** Put the exact time below the relative one, inside the window. */
function placeTip(event: Event): void {
  const element = event.currentTarget as HTMLElement;
  const box = element.getBoundingClientRect();
  element.style.setProperty("--tip-x", `${Math.max(4, Math.min(box.left, innerWidth - TIP_WIDTH))}px`);
  element.style.setProperty("--tip-y", `${box.bottom + 4}px`);
}

import { useId, useRef, useState } from "preact/hooks";
import { counted, grouped } from "../../parts/text";
import { type Bucket, dayInWords, type Interval, intervalInWords } from "./days";

const HEIGHT = 100;
const GAP = 0.2;

/**
 * Columns over time. The arrow keys move among them, as only one of them is in the order of the Tab key. What the one
 * under the pointer or the focus says is below; without any, the first and the last interval.
 */
export function Columns({
  name,
  buckets,
  interval,
  most,
}: {
  name: string;
  buckets: readonly Bucket[];
  interval: Interval;
  /** The number that is as high as the chart. */
  most: number;
}) {
  const id = useId();
  const chart = useRef<SVGSVGElement>(null);
  const [tabStop, setTabStop] = useState(buckets.length - 1);
  const [shown, setShown] = useState<number>();
  const stop = Math.min(tabStop, buckets.length - 1);
  const total = buckets.reduce((sum, { users }) => sum + users, 0);

  const move = (event: KeyboardEvent) => {
    const to = { ArrowLeft: stop - 1, ArrowRight: stop + 1, Home: 0, End: buckets.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = Math.min(buckets.length - 1, Math.max(0, to));
    setTabStop(next);
    chart.current?.querySelectorAll<SVGElement>(".column")[next]?.focus();
  };
  const says = (bucket: Bucket | undefined) =>
    bucket ? `${intervalInWords(bucket.start, interval)}${bucket.isPart ? " (in part)" : ""}: ${counted(bucket.users, "user")}` : "";
  const leave = () => setShown(undefined);

  return (
    <div class="columns-chart">
      <span class="most" aria-hidden="true">
        {grouped(most)}
      </span>
      <svg
        ref={chart}
        viewBox={`0 0 ${buckets.length} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="group"
        aria-labelledby={`${id}-title ${id}-description`}
        onKeyDown={move}
        onPointerLeave={leave}
      >
        <title id={`${id}-title`}>{name}</title>
        <desc id={`${id}-description`}>
          {`${counted(total, "user")} in ${counted(buckets.length, interval)}, at most ${grouped(Math.max(...buckets.map(({ users }) => users)))} in one. The arrow keys go from one to the next.`}
        </desc>
        {buckets.map((bucket, index) => {
          const height = (bucket.users / most) * HEIGHT;
          return (
            <g
              key={bucket.start}
              class={`column${bucket.isPart ? " part" : ""}${shown === index ? " shown" : ""}`}
              role="img"
              tabIndex={index === stop ? 0 : -1}
              aria-label={says(bucket)}
              onFocus={() => {
                setTabStop(index);
                setShown(index);
              }}
              onBlur={leave}
              onPointerEnter={() => setShown(index)}
            >
              <rect class="whole" x={index} width={1} height={HEIGHT} />
              <rect class="users" x={index + GAP / 2} width={1 - GAP} y={HEIGHT - height} height={height} />
            </g>
          );
        })}
      </svg>
      <p class="reading" aria-hidden="true">
        {shown === undefined ? (
          <>
            <span>{dayInWords(buckets[0]?.start ?? "")}</span>
            <span>{dayInWords(buckets.at(-1)?.start ?? "")}</span>
          </>
        ) : (
          <b>{says(buckets[shown])}</b>
        )}
      </p>
    </div>
  );
}

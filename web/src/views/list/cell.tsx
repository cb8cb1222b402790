import { exactTime, relativeTime } from "../../parts/time";
import { grouped } from "../../parts/text";
import { companyPlace } from "../../parts/company-link";
import type { Cell } from "./columns";

/** A value in its cell. A row that has the focus, or the pointer, shows its times exactly. */
export function CellValue({ of: { kind, text, length } }: { of: Cell }) {
  if (kind === undefined) return <span class="soft">–</span>;
  if (kind === "time") {
    return (
      <time dateTime={text}>
        <span>{relativeTime(Date.parse(text), Date.now())}</span>
        <code>{exactTime(text)}</code>
      </time>
    );
  }
  if (kind === "company") {
    return (
      <a href={companyPlace(text)} tabIndex={-1}>
        <bdi>{text}</bdi>
      </a>
    );
  }
  return (
    <>
      <bdi class={kind === "text" ? undefined : `value ${kind}`}>{text}</bdi>
      {length !== undefined && <small> {grouped(length)} characters</small>}
    </>
  );
}

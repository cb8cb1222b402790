import type { ComponentChildren } from "preact";
import { kindOf } from "../api/json";
import type { Json } from "../api/types";
import { grouped } from "./text";
import "./value.css";

/** Characters that are not seen, or reorder the text around them. Those that join letters and emoji stay as they are. */
const UNSEEN = /[\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** A JSON text in which characters that cannot be seen are escapes. */
export function visible(json: string): string {
  return json.replace(UNSEEN, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** A string as JSON writes it, in quotes. Characters that cannot be seen are escapes. */
export function quoted(text: string): string {
  return visible(JSON.stringify(text));
}

/** The first `limit` characters of a text. No character is cut in two. */
export function cut(text: string, limit: number): string {
  if (text.length <= limit) return text;
  const last = text.charCodeAt(limit - 1);
  return text.slice(0, last >= 0xd800 && last < 0xdc00 ? limit - 1 : limit);
}

/** What finds a typed text, in upper or lower case. Null where nothing is typed. */
export function matcher(typed: string): RegExp | null {
  return typed ? new RegExp(typed.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&"), "iu") : null;
}

/** A text in which what matches is marked. */
export function Marked({ text, mark }: { text: string; mark?: RegExp | null | undefined }) {
  if (!mark) return <>{text}</>;
  const parts: ComponentChildren[] = [];
  let from = 0;
  for (const { 0: found, index } of text.matchAll(new RegExp(mark, "giu"))) {
    parts.push(text.slice(from, index), <mark key={index}>{found}</mark>);
    from = index + found.length;
  }
  return (
    <>
      {parts}
      {text.slice(from)}
    </>
  );
}

/** What would be misread as it is: nothing, blanks at the ends, a quote at the beginning, control characters. */
const MISREAD = /^$|^["\s]|\s$|[\u0000-\u001f]/;

/** A key or an id as it was sent; in quotes where it would be misread. The empty key is `""`. */
export function asRead(text: string): string {
  return MISREAD.test(text) || text.search(UNSEEN) >= 0 ? quoted(text) : text;
}

/** A key as it was sent. */
export function Key({ of: key, mark }: { of: string; mark?: RegExp | null | undefined }) {
  const text = cut(key, 200);
  const shown = asRead(text);
  return (
    <bdi>
      <Marked text={text.length < key.length ? `${shown}…` : shown} mark={mark} />
    </bdi>
  );
}

interface Properties {
  of: Json | undefined;
  /** The length in characters from which a value is cut. */
  limit?: number;
  /** What is marked in it. A string that is cut is cut around it. */
  mark?: RegExp | null | undefined;
}

/** A JSON value on one line: strings in quotes, an object or array as far as there is room. Never a link or a picture. */
export function Value({ of: value, limit = 120, mark }: Properties) {
  if (value === undefined) return <span class="soft">–</span>;
  if (typeof value === "string") return <Text text={value} limit={limit} mark={mark} />;
  const kind = kindOf(value);
  const text = kind === "object" || kind === "array" ? preview(value, limit) : numberText(value);
  return (
    <bdi class={`value ${kind}`}>
      <Marked text={text} mark={mark} />
    </bdi>
  );
}

/** JSON has a negative zero, which JavaScript writes as 0. */
function numberText(value: Json): string {
  return Object.is(value, -0) ? "-0" : String(value);
}

function Text({ text, limit, mark }: { text: string; limit: number; mark: RegExp | null | undefined }) {
  if (text.length <= limit) {
    return (
      <bdi class="value string">
        <Marked text={quoted(text)} mark={mark} />
      </bdi>
    );
  }
  const found = mark ? text.search(mark) : -1;
  const start = found > limit / 2 ? found - Math.trunc(limit / 4) : 0;
  const part = quoted(cut(text.slice(start), limit)).slice(1, -1);
  return (
    <>
      <bdi class="value string">
        {start > 0 ? "…" : '"'}
        <Marked text={part} mark={mark} />
        {start + limit < text.length ? "…" : '"'}
      </bdi>{" "}
      <small>{grouped(text.length)} characters</small>
    </>
  );
}

/** The beginning of an object or array as JSON, written no further than the limit. */
export function preview(value: Json, limit: number): string {
  let text = "";
  const write = (inner: Json): void => {
    if (text.length >= limit) return;
    if (typeof inner === "string") {
      text += quoted(cut(inner, limit));
    } else if (Array.isArray(inner)) {
      text += "[";
      for (let index = 0; index < inner.length && text.length < limit; index += 1) {
        if (index > 0) text += ", ";
        write(inner[index] ?? null);
      }
      text += "]";
    } else if (inner !== null && typeof inner === "object") {
      text += "{";
      let isFirst = true;
      for (const key in inner) {
        if (text.length >= limit) break;
        if (!isFirst) text += ", ";
        isFirst = false;
        text += `${quoted(cut(key, limit))}: `;
        write(inner[key] ?? null);
      }
      text += "}";
    } else {
      text += numberText(inner);
    }
  };
  write(value);
  return text.length > limit ? `${cut(text, limit)}…` : text;
}

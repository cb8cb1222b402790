import type { MetadataPath, StringShape, TypeCount } from "../../api/types";
import { counted, grouped, shareText } from "../../parts/text";

const SHAPES: Readonly<Record<string, string>> = {
  empty: "empty",
  ip_address: "IP address",
  email_address: "email address",
  url: "URL",
  uuid: "UUID",
  date: "date (YYYY-MM-DD)",
  time: "date and time",
  phone_number: "phone number",
  short_text: "short text",
  long_text: "long text",
  other: "something else",
};

/** Beyond this, people do not count digits. */
const MOST_DIGITS = 15;

/** The name of a type, as people say it. */
export function typeName(type: string): string {
  return type.replace("_", " ");
}

/** What the values of a path look like, in words and without any of them: `email address 98 %`. */
export function looksLike(path: MetadataPath): string[] {
  const strings = path.string_shapes.reduce((sum, { count }) => sum + Number(count), 0);
  return [
    ...path.string_shapes.map((shape) => (Number(shape.count) === strings ? shapeName(shape) : `${shapeName(shape)} ${shareText(Number(shape.count), strings)}`)),
    ...numbers(path),
    ...arrays(path),
    ...(path.key_count > 0 ? [`stands for ${counted(path.key_count, "key")} or more`] : []),
  ];
}

function shapeName({ shape, length, pattern }: StringShape): string {
  if (shape === "code") return pattern ? `code ${pattern}` : "code";
  if (shape === "digits") return length ? counted(length, "digit") : "digits";
  if (shape === "hexadecimal") return length ? `${grouped(length)} hexadecimal digits` : "hexadecimal digits";
  return SHAPES[shape] ?? shape.replaceAll("_", " ");
}

function numbers({ numbers: summary, types }: MetadataPath): string[] {
  if (!summary) return [];
  const count = countOf(types, "number");
  const integers = Number(summary.integer_count);
  const kind = integers === count ? "integers" : integers === 0 ? "fractions" : `numbers, ${shareText(integers, count)} of them integers`;
  const { smallest_exponent: smallest, largest_exponent: largest } = summary;
  const sizes = smallest === undefined || largest === undefined ? "" : sizesOf(smallest, largest);
  const negative = Number(summary.negative_count) > 0 ? `${shareText(Number(summary.negative_count), count)} below 0` : "";
  const zero = Number(summary.zero_count) > 0 ? `${shareText(Number(summary.zero_count), count)} are 0` : "";
  return [[kind, sizes, negative, zero].filter(Boolean).join(", ")];
}

/** The orders of magnitude of numbers: `2 to 5 digits`, `from 10^-3 to 10^20`. */
function sizesOf(smallest: number, largest: number): string {
  if (smallest < 0 || largest > MOST_DIGITS) return `from 10^${smallest} to 10^${largest}`;
  return smallest === largest ? counted(smallest + 1, "digit") : `${smallest + 1} to ${counted(largest + 1, "digit")}`;
}

function arrays({ arrays: summary, types }: MetadataPath): string[] {
  if (!summary) return [];
  const longest = summary.lengths.at(-1)?.max_length ?? 0;
  const elements = summary.element_types.map(({ type }) => typeName(type)).join(", ");
  const empty = countOf(types, "empty_array") > 0 ? ", some empty" : "";
  return [`at most ${grouped(longest)} of ${elements || "nothing"}${empty}`];
}

export function countOf(types: readonly TypeCount[], type: string): number {
  return Number(types.find((each) => each.type === type)?.count ?? 0);
}

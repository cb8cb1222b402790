// Reads JSON that a person typed: says where it is wrong, and what would not be stored as it is written.

import { NUMBER } from "../../../api/filter";
import type { Json } from "../../../api/types";

export class TextError extends Error {
  constructor(
    message: string,
    readonly line: number,
    readonly column: number,
  ) {
    super(message);
  }
}

/** The levels that metadata may have. */
const LEVELS = 20;

/** Whether a number as it is written would not be the number that is stored. */
export function isInexact(digits: string): boolean {
  if (!/^-?\d+$/.test(digits)) return false;
  return BigInt(Number(digits)) !== BigInt(digits);
}

export const INEXACT = "No number in Userfold holds this integer exactly. Write it as a string, in quotes: it is stored so anyway.";

/** The value of a JSON text. Throws TextError. */
export function parseText(text: string): Json {
  let at = 0;

  const fail = (message: string, place = at): never => {
    const lines = text.slice(0, place).split("\n");
    throw new TextError(message, lines.length, (lines.at(-1) ?? "").length + 1);
  };
  /** What matches here, and is passed. */
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const [found] = pattern.exec(text) ?? [];
    at += found?.length ?? 0;
    return found;
  };
  const blanks = () => take(/[ \t\n\r]*/y);
  const takes = (character: string): boolean => {
    blanks();
    if (text[at] !== character) return false;
    at += 1;
    return true;
  };
  const string = (): string => {
    const literal = take(/"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*"/y);
    return JSON.parse(literal ?? fail("This string does not end, or has an escape or a line break that JSON does not allow.")) as string;
  };
  const number = (word: string, start: number): number => {
    if (!NUMBER.test(word)) fail("This is no value. Strings are in double quotes.", start);
    if (!Number.isFinite(Number(word))) fail("This number is too large.", start);
    if (isInexact(word)) fail(INEXACT, start);
    return Number(word);
  };
  const array = (level: number): Json[] => {
    const items: Json[] = [];
    if (takes("]")) return items;
    do items.push(value(level + 1, false));
    while (takes(","));
    if (!takes("]")) fail("A comma or ] is expected here.");
    return items;
  };
  const object = (level: number): Json => {
    const members = new Map<string, Json>();
    if (takes("}")) return {};
    do {
      blanks();
      const start = at;
      if (text[at] !== '"') fail("A key in double quotes is expected here.");
      const key = string();
      if (members.has(key)) fail(`The key ${JSON.stringify(key)} is there twice: only one value could be stored.`, start);
      if (!takes(":")) fail("A colon is expected here.");
      members.set(key, value(level + 1, true));
    } while (takes(","));
    if (!takes("}")) fail("A comma or } is expected here.");
    return Object.fromEntries(members);
  };
  const value = (level: number, isMember: boolean): Json => {
    blanks();
    const start = at;
    if (text[at] === '"') return string();
    for (const [open, read] of [["{", object], ["[", array]] as const) {
      if (text[at] !== open) continue;
      if (level > LEVELS) fail(`Metadata has at most ${LEVELS} levels.`);
      at += 1;
      return read(level);
    }
    const word = take(/[-+.\w]+/y) ?? fail(at < text.length ? "A value is expected here." : "The text ends where a value is expected.");
    if (word === "true" || word === "false") return word === "true";
    if (word !== "null") return number(word, start);
    if (isMember) fail("A null removes its key, so it cannot be stored in an object. Leave the key out.", start);
    return null;
  };

  const whole = value(1, false);
  blanks();
  if (at < text.length) fail("Something follows the end of the value.");
  return whole;
}

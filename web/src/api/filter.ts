// Filters of profiles: parsed into a tree, and the parts of which they are written. The grammar is that of
// ListUsersRequest.filter; what it does not allow, the server explains.

import { pathText, type Path } from "./paths";
import { USER_FIELDS, kindAt } from "./fields";

export type Operator = "=" | "!=" | "<" | "<=" | ">" | ">=" | ":";

/** A value of a comparison. `any` is the asterisk of `:*`. A number is kept as it was written. */
export type Literal =
  | { readonly type: "string" | "number"; readonly text: string }
  | { readonly type: "true" | "false" | "null" | "any" };

export interface Comparison {
  readonly kind: "comparison";
  readonly path: readonly string[];
  readonly operator: Operator;
  readonly value: Literal;
}

export type Filter =
  | Comparison
  | { readonly kind: "not"; readonly of: Filter }
  | { readonly kind: "and" | "or"; readonly of: readonly Filter[] };

export const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

const NAME = /(?!(?:AND|OR|NOT)(?![A-Za-z0-9_-]))[A-Za-z_][A-Za-z0-9_-]*/y;
const KEY = /[A-Za-z_][A-Za-z0-9_-]*/y;
const QUOTED = /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/y;
const WORD = /(?!(?:AND|OR|NOT)(?![^\s()"'<>=!]))[^\s()"'<>=!]+/y;
const STAR = /\*(?![^\s()"'<>=!])/y;
const OPERATOR = /!=|<=|>=|[=<>:]/y;

class Unreadable extends Error {}

/** Nothing that nests deeper is parsed, nor would the server. */
const LEVELS = 40;

/** The tree of a filter; null if it is empty, undefined if it cannot be read. */
export function parseFilter(text: string): Filter | null | undefined {
  if (!text.trim()) return null;
  try {
    const reader = new Reader(text);
    const tree = reader.conjunction(0);
    return reader.isAtEnd() ? tree : undefined;
  } catch (error) {
    if (error instanceof Unreadable) return undefined;
    throw error;
  }
}

class Reader {
  private at = 0;

  constructor(private readonly text: string) {}

  isAtEnd(): boolean {
    this.take(/\s*/y);
    return this.at === this.text.length;
  }

  conjunction(level: number): Filter {
    if (level > LEVELS) throw new Unreadable();
    const parts = [this.disjunction(level)];
    while (!this.isAtEnd() && this.text[this.at] !== ")") {
      this.takeWord("AND");
      parts.push(this.disjunction(level));
    }
    return joined("and", parts);
  }

  private disjunction(level: number): Filter {
    const parts = [this.term(level)];
    while (this.takeWord("OR")) parts.push(this.term(level));
    return joined("or", parts);
  }

  private term(level: number): Filter {
    if (this.takeWord("NOT") || this.token(/-/y)) return { kind: "not", of: this.primary(level) };
    return this.primary(level);
  }

  private primary(level: number): Filter {
    if (!this.token(/\(/y)) return this.comparison();
    const inner = this.conjunction(level + 1);
    this.expect(/\)/y);
    return inner;
  }

  private comparison(): Comparison {
    const path = [this.expect(NAME)];
    for (;;) {
      if (this.token(/\./y)) path.push(this.token(KEY) ?? unquoted(this.expect(QUOTED)));
      else if (this.token(/\[/y)) {
        path.push(unquoted(this.expect(QUOTED)));
        this.expect(/]/y);
      } else break;
    }
    const operator = this.expect(OPERATOR) as Operator;
    if (operator === ":" && this.token(STAR)) return { kind: "comparison", path, operator, value: { type: "any" } };
    const string = this.token(QUOTED);
    const value: Literal = string === undefined ? literal(this.expect(WORD)) : { type: "string", text: unquoted(string, true) };
    return { kind: "comparison", path, operator, value };
  }

  private takeWord(word: string): boolean {
    return this.token(new RegExp(`${word}(?![A-Za-z0-9_-])`, "y")) !== undefined;
  }

  private expect(pattern: RegExp): string {
    const found = this.token(pattern);
    if (found === undefined) throw new Unreadable();
    return found;
  }

  private token(pattern: RegExp): string | undefined {
    this.take(/\s*/y);
    return this.take(pattern);
  }

  private take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0];
    if (found !== undefined) this.at += found.length;
    return found;
  }
}

function joined(kind: "and" | "or", parts: readonly Filter[]): Filter {
  const [first] = parts;
  return first && parts.length === 1 ? first : { kind, of: parts };
}

function literal(word: string): Literal {
  if (word.includes("*")) throw new Unreadable();
  if (word === "true" || word === "false" || word === "null") return { type: word };
  return { type: NUMBER.test(word) ? "number" : "string", text: word };
}

const CONTROLS: Readonly<Record<string, string>> = { b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };

function unquoted(quoted: string, isValue = false): string {
  return quoted.slice(1, -1).replace(/\\u([\da-fA-F]{4})|\\(.)|\*/gs, (found, code?: string, character?: string) => {
    if (code) return String.fromCharCode(parseInt(code, 16));
    if (character) return CONTROLS[character] ?? character;
    if (isValue) throw new Unreadable();
    return found;
  });
}

/** A string as filters quote it. */
export function quotedString(text: string): string {
  return JSON.stringify(text).replaceAll("*", "\\*");
}

/** A comparison of a path with a string, such as `company_id = "67890"`. */
export function comparisonText(path: Path, operator: Operator, value: string): string {
  return `${pathText(path)} ${operator} ${quotedString(value)}`;
}

/** Whether a text begins as a filter of users does, with a field and an operator. */
export function looksLikeFilter(text: string): boolean {
  const begin = /^(?:\s*(?:NOT\s|-|\())*\s*([A-Za-z_][\w-]*(?:\s*(?:\.\s*(?:[\w-]+|"[^"]*")|\["[^"]*"\]))*)\s*(?:!=|[=<>:])/.exec(text);
  const path = begin?.[1]?.replace(/\.?"([^"]*)"|\["([^"]*)"\]/g, ".key") ?? "";
  return kindAt(USER_FIELDS, path.split(".").map((key) => key.trim())) !== undefined;
}

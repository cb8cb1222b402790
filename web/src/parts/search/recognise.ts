// What a typed text can be, by its form alone.

import { looksLikeFilter } from "../../api/filter";

const JSON_WEB_TOKEN = /^eyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?/;
const WITH_PREFIX = /^(?:bearer\s+\S{8,}|uf[mc]_\S{8,}|(?:sk|pk|rk|gh[opsu]|github_pat|glpat|xox[a-z]|whsec|sess|tok)[-_](?=\S*\d)\S{16,})/i;
const UUID = /^\{?[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}\}?$/i;
const OBJECT_ID = /^[\da-f]{24}$/i;
const LONG_RUN = /[A-Za-z0-9+/]{20,}/;

/** The characters from which on a text without any sense in it is a token rather than an id. */
const TOKEN_LENGTH = 24;

/**
 * Whether a text looks like a secret: a JSON web token, a key with a known prefix, or a long random string. Ids of usual
 * forms, such as UUIDs, do not.
 */
export function looksLikeToken(text: string): boolean {
  const word = text.trim();
  if (JSON_WEB_TOKEN.test(word) || WITH_PREFIX.test(word)) return true;
  if (word.length < TOKEN_LENGTH || !/^[\w\-+/=.~%]+$/.test(word) || UUID.test(word) || OBJECT_ID.test(word)) return false;
  const run = LONG_RUN.exec(word)?.[0];
  return run !== undefined && /\d/.test(run) && /[A-Za-z]/.test(run) && changesOfClass(run) >= run.length / 5;
}

/** How often a capital, a small letter and a digit follow each other: often in random strings, seldom in words. */
function changesOfClass(text: string): number {
  const classes = [...text].map((each) => (/\d/.test(each) ? "9" : /[a-z]/.test(each) ? "a" : "A"));
  return classes.filter((each, index) => index > 0 && each !== classes[index - 1]).length;
}

/** What a text is, as far as its form says. */
export function recognised(text: string): "token" | "filter" | "words" {
  if (looksLikeToken(text)) return "token";
  return looksLikeFilter(text) ? "filter" : "words";
}

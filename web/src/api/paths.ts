// Paths into a profile, in the notation of filters, errors and changed_paths: metadata["a.b"].c, metadata.tags[2].

export type Path = readonly (string | number)[];

const PLAIN = /^[A-Za-z_][A-Za-z0-9_-]*$/;

/** The path of keys and indices of arrays, from the outside in. */
export function pathText(path: Path): string {
  return path.map(part).join("").replace(/^\./, "");
}

function part(key: string | number): string {
  if (typeof key === "number") return `[${key}]`;
  return PLAIN.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

/** The keys of a path that `pathText` or the server wrote. */
export function parsePath(text: string): Path {
  const keys: (string | number)[] = [];
  for (const [, plain, quoted, index] of text.matchAll(/\.?([A-Za-z_][A-Za-z0-9_-]*)|\[("(?:[^"\\]|\\.)*")\]|\[(\d+)\]/gy)) {
    if (plain !== undefined) keys.push(plain);
    else if (quoted !== undefined) keys.push(JSON.parse(quoted) as string);
    else keys.push(Number(index));
  }
  return keys;
}

/** What identifies a path among others. */
export function pathId(path: Path): string {
  return JSON.stringify(path);
}

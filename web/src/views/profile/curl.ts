/** A request with a body as a command line sends it, to copy. */
export function curlOf(path: string, body: unknown): string {
  const url = new URL(path, document.baseURI).href;
  // In a shell, nothing but the quote itself is special between single quotes.
  const text = JSON.stringify(body, null, 2).replaceAll("'", `'\\''`);
  return `curl -X POST '${url}' -H "Authorization: Bearer $management_token" -d '${text}'`;
}

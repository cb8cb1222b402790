/** An update as a command line sends it, to copy. */
export function curlOf(update: unknown, query = ""): string {
  const url = new URL(`v1/users${query}`, document.baseURI).href;
  // In a shell, nothing but the quote itself is special between single quotes.
  const body = JSON.stringify(update, null, 2).replaceAll("'", `'\\''`);
  return `curl -X POST '${url}' -H "Authorization: Bearer $management_token" -d '${body}'`;
}

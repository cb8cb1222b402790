import { download } from "./download";

export type Cell = string | number | undefined;

const BYTE_ORDER_MARK = "\ufeff";

/** Rows as CSV (RFC 4180). No text in it is a formula to a spreadsheet. */
export function csv(rows: readonly (readonly Cell[])[]): string {
  // Without the mark, Excel reads the file in the encoding of the country.
  return BYTE_ORDER_MARK + rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

function cell(value: Cell): string {
  if (typeof value !== "string") return String(value ?? "");
  const harmless = /^[=+\-@\t\r\n]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

/** Let the browser save rows as a CSV file. */
export function saveCsv(name: string, rows: readonly (readonly Cell[])[]): void {
  download(name, "text/csv;charset=utf-8", [csv(rows)]);
}

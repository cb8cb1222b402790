/** A number in groups of three digits: `12,345`. */
export function grouped(number: number | string): string {
  return Number(number).toLocaleString("en");
}

/** `1 user`, `2 users`, `1,234 users`. */
export function counted(number: number | string, one: string, many = `${one}s`): string {
  return `${grouped(number)} ${Number(number) === 1 ? one : many}`;
}

/** `Users` for `users`. */
export function capitalised(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

/** A text of a caller, isolated: right-to-left text in it does not reorder what is around it. */
export function Foreign({ text }: { text: string }) {
  return <bdi>{text}</bdi>;
}

/** Any number of a caller, in a few digits: `24,000.5`, `0.00123`, `1.234e+20`. */
export function amount(number: number): string {
  const size = Math.abs(number);
  if (size >= 1e15) return number.toExponential(3);
  return size < 1 ? String(Number(number.toPrecision(3))) : grouped(Math.round(number * 100) / 100);
}

/** A part of a whole: `12 %`, `< 1 %`. */
export function shareText(part: number, whole: number): string {
  const percent = whole > 0 ? (100 * part) / whole : 0;
  if (percent > 0 && percent < 1) return "< 1 %";
  // A part that is not the whole is not shown as one.
  return `${part < whole ? Math.min(99, Math.round(percent)) : Math.round(percent)} %`;
}

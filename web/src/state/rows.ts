import type { RefObject } from "preact";
import { useKeys } from "./keyboard";

/** Let `j` and `k` move the focus among the elements of a list that match a selector. */
export function useRowKeys(list: RefObject<HTMLElement | null>, selector: string): void {
  const move = (step: number) => {
    const rows = [...(list.current?.querySelectorAll<HTMLElement>(selector) ?? [])];
    const present = rows.indexOf(document.activeElement as HTMLElement);
    rows[present < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, present + step))]?.focus();
  };
  useKeys({ j: () => move(1), k: () => move(-1) });
}

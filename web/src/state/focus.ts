import { useLayoutEffect } from "preact/hooks";

/** When the component goes, the focus returns to where it was before, unless it is elsewhere by then. */
export function useReturnedFocus(): void {
  useLayoutEffect(() => {
    const before = document.activeElement;
    return () => {
      // The element that has the focus now goes with the component.
      requestAnimationFrame(() => {
        if (document.activeElement === document.body && before instanceof HTMLElement && before.isConnected) before.focus();
      });
    };
  }, []);
}

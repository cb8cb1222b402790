import { useAction } from "../state/action";
import { ErrorNote } from "./states";

/** A button whose action takes a while, and may fail. */
export function ActionButton({ label, title, run }: { label: string; title?: string; run: () => Promise<void> }) {
  const { act, isBusy, error } = useAction(run);
  return (
    <>
      <button type="button" title={title} aria-busy={isBusy} onClick={act}>
        {label}
      </button>
      {error && <ErrorNote error={error} />}
    </>
  );
}

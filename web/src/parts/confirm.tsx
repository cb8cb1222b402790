import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { useAction } from "../state/action";
import { useReturnedFocus } from "../state/focus";
import { ErrorNote } from "./states";

/**
 * Asks once more before something is gone: says what will be gone, and wants its id typed. A part of the page, not a
 * modal. `run` does it; what it throws is shown here, and the panel stays. The focus returns to where it was.
 */
export function Confirm({
  title,
  id,
  verb,
  run,
  onClose,
  children,
}: {
  title: string;
  /** What must be typed. */
  id: string;
  /** The label of the button: `Erase`. */
  verb: string;
  run: () => Promise<void>;
  onClose: () => void;
  /** What will be gone, in numbers, and further fields of the action. */
  children: ComponentChildren;
}) {
  const field = useRef<HTMLInputElement>(null);
  const [typed, setTyped] = useState("");
  const { act, isBusy, error } = useAction(run);
  useReturnedFocus();
  useLayoutEffect(() => field.current?.focus(), []);

  return (
    <form
      class="confirm"
      aria-label={title}
      onSubmit={act}
      onKeyDown={(event) => {
        if (event.key === "Escape") onClose();
      }}
    >
      <h3>{title}</h3>
      {children}
      <label>
        <span>
          Type <code dir="auto">{id}</code> to confirm
        </span>
        <input ref={field} value={typed} onInput={(event) => setTyped(event.currentTarget.value)} autocomplete="off" spellcheck={false} />
      </label>
      {error && <ErrorNote error={error} />}
      <div class="buttons">
        <button class="danger primary" disabled={typed !== id} aria-busy={isBusy}>
          {isBusy ? `${verb} …` : verb}
        </button>
        <button type="button" onClick={onClose}>
          Cancel
        </button>
      </div>
    </form>
  );
}

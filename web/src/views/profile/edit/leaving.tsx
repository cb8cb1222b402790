import { useEffect, useRef } from "preact/hooks";
import { counted } from "../../../parts/text";

/** Asks once before changes that are not sent are forgotten. */
export function Leaving({ count, answer }: { count: number; answer: (leaves: boolean) => void }) {
  const stay = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    stay.current?.focus();
    return () => {
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  return (
    <div
      class="edit-bar"
      role="alertdialog"
      aria-label="Changes that are not sent"
      onKeyDown={(event) => {
        if (event.key !== "Escape") return;
        event.preventDefault();
        answer(false);
      }}
    >
      <span>
        <strong>{counted(count, "change")} not sent yet.</strong> Leaving forgets {count === 1 ? "it" : "them"}.
      </span>
      <div class="buttons">
        <button ref={stay} type="button" class="primary" onClick={() => answer(false)}>
          Stay
        </button>
        <button type="button" class="danger" onClick={() => answer(true)}>
          Forget {count === 1 ? "it" : "them"}
        </button>
      </div>
    </div>
  );
}

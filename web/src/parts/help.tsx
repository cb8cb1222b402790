import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { useKeys } from "../state/keyboard";

const isShown = signal(false);

const KEYS: readonly (readonly [string, string])[] = [
  ["/", "Search"],
  ["j, k", "Next and previous row"],
  ["Enter", "Open the row"],
  ["e", "Edit the profile"],
  ["Esc", "Close, or leave what is being edited"],
  ["?", "These keys"],
];

/** The keys of the console, at `?`. */
export function Help() {
  const dialog = useRef<HTMLDialogElement>(null);
  useKeys({ "?": () => (isShown.value = !isShown.value) });
  useEffect(() => {
    if (isShown.value) dialog.current?.showModal();
    else dialog.current?.close();
  }, [isShown.value]);
  return (
    <dialog ref={dialog} class="help" aria-labelledby="help-title" onClose={() => (isShown.value = false)}>
      <h2 id="help-title">Keys</h2>
      <dl>
        {KEYS.map(([key, action]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{action}</dd>
          </div>
        ))}
      </dl>
      <button type="button" onClick={() => (isShown.value = false)}>
        Close
      </button>
    </dialog>
  );
}

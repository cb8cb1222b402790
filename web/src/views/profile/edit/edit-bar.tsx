import { counted } from "../../../parts/text";
import type { Editing } from "./use-editing";

/** What can be done with the changes so far, at the bottom of the window: it moves nothing as changes are added. */
export function EditBar({ editing: { changes, go }, leave }: { editing: Editing; leave: () => void }) {
  const review = () => {
    // What is being typed belongs to it, unless it is wrong: then it is shown.
    const open = document.querySelector<HTMLFormElement>("form.value-editor[aria-label]");
    open?.requestSubmit();
    const wrong = open?.querySelector(".wrong");
    if (wrong) wrong.scrollIntoView({ block: "center" });
    else go({ name: "review" });
  };
  return (
    <div class="edit-bar" role="region" aria-label="Your changes">
      <span>{changes.length === 0 ? "Choose what to change. Nothing is stored before you have seen the update." : `${counted(changes.length, "change")}, not sent yet`}</span>
      <div class="buttons">
        <button type="button" class="primary" disabled={changes.length === 0} onClick={review}>
          Review…
        </button>
        <button type="button" onClick={leave}>
          {changes.length === 0 ? "Done" : "Discard"}
        </button>
      </div>
    </div>
  );
}

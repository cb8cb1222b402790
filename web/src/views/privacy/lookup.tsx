import { useEffect, useRef } from "preact/hooks";
import { keyLabel, type ProfileKind } from "../../api/kinds";
import { Choice } from "../../parts/choice";
import { capitalised } from "../../parts/text";

/** Asks for the id that the request is about: of a user or, where the token allows, of a company or a visitor. */
export function Lookup({ of, kinds, id, choose, find }: {
  of: ProfileKind;
  /** Those that the token allows to export or to erase. */
  kinds: readonly ProfileKind[];
  id: string;
  choose: (of: ProfileKind) => void;
  find: (id: string) => void;
}) {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (field.current) field.current.value = id;
  }, [of, id]);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const typed = field.current?.value ?? "";
    if (typed) find(typed);
  };
  const options = kinds.map(({ one }) => [one, capitalised(one)] as const);
  return (
    <form class="lookup" onSubmit={submit}>
      {kinds.length > 1 && (
        <Choice label="What the request is about" options={options} chosen={of.one} onChoose={(one) => choose(kinds.find((each) => each.one === one) ?? of)} />
      )}
      <label for="person">{keyLabel(of)}</label>
      <div class="buttons">
        <input ref={field} id="person" autocomplete="off" spellcheck={false} dir="auto" />
        <button>Show what is stored</button>
      </div>
    </form>
  );
}

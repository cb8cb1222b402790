import { useEffect, useRef } from "preact/hooks";

/** Asks for the id of the person that the request is about. */
export function Lookup({ userId, find }: { userId: string; find: (userId: string) => void }) {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (field.current) field.current.value = userId;
  }, [userId]);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const typed = field.current?.value ?? "";
    if (typed) find(typed);
  };
  return (
    <form class="lookup" onSubmit={submit}>
      <label for="person">User id</label>
      <div class="buttons">
        <input ref={field} id="person" autocomplete="off" spellcheck={false} dir="auto" />
        <button>Show what is stored</button>
      </div>
    </form>
  );
}

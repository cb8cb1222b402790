import { useEffect, useRef, useState } from "preact/hooks";
import { useKeys } from "../state/keyboard";
import { SearchIcon } from "./icons";
import { OptionItem } from "./search/options";
import { HIDDEN, useSearch } from "./search/use-search";
import "./search-box.css";

const LIST_ID = "search-options";
const LABEL = "Find by id, email, token, company or filter";

/** The one box that finds everything, on every page: a combobox, whose list says what the text can be. */
export function SearchBox() {
  const field = useRef<HTMLInputElement>(null);
  const [isOpen, setOpen] = useState(false);
  const [active, setActive] = useState(-1);
  /** What had the focus before the box. */
  const before = useRef<Element | null>(null);

  const { typed, isHidden, options, outcome, type, run } = useSearch((place) => {
    change("");
    setOpen(false);
    // The view that is opened takes the focus from here.
    document.getElementById("main")?.focus({ preventScroll: true });
    location.hash = place;
  });
  const change = (text: string) => {
    type(text);
    setActive(-1);
    setOpen(text.trim() !== "");
  };
  useKeys({
    "/": () => {
      before.current = document.activeElement;
      field.current?.focus();
      field.current?.select();
    },
  });
  const said = outcome?.text ?? (isHidden ? HIDDEN : "");
  const isListed = isOpen && options.length > 0;
  const current = isListed ? options[active] : undefined;
  useEffect(() => {
    document.getElementById(`${LIST_ID}-${active}`)?.scrollIntoView({ block: "nearest" });
  }, [active]);

  const leave = () => {
    setOpen(false);
    setActive(-1);
    if (isHidden) change("");
    const target = before.current;
    if (target instanceof HTMLElement && target.isConnected && target !== document.body) target.focus();
    else document.getElementById("main")?.focus({ preventScroll: true });
  };
  const step = (by: number) => {
    setOpen(true);
    // One place, before the first and after the last, is the box itself.
    const places = options.length + 1;
    if (options.length > 0) setActive((now) => ((now + 1 + by + places) % places) - 1);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.isComposing) return;
    const act = { ArrowDown: () => step(1), ArrowUp: () => step(-1), Escape: leave, Enter: () => run(current) }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  };

  return (
    <div class="search" role="search">
      <SearchIcon />
      <input
        ref={field}
        // A field for passwords would be no combobox, and browsers would offer to save what is in it.
        type="text"
        class={isHidden ? "dots" : undefined}
        role="combobox"
        aria-label={LABEL}
        aria-expanded={isListed}
        aria-controls={LIST_ID}
        aria-autocomplete="list"
        aria-activedescendant={current ? `${LIST_ID}-${active}` : undefined}
        aria-describedby="search-outcome"
        placeholder={LABEL}
        enterkeyhint="search"
        autocomplete="off"
        autocapitalize="off"
        spellcheck={false}
        dir="auto"
        value={typed}
        onInput={(event) => change(event.currentTarget.value)}
        onFocus={(event) => {
          if (event.relatedTarget) before.current = event.relatedTarget as Element;
          setOpen(typed.trim() !== "");
        }}
        onBlur={() => setOpen(false)}
        onKeyDown={onKeyDown}
      />
      <kbd aria-hidden="true">/</kbd>
      <div class="search-list" hidden={!isOpen}>
        <p id="search-outcome" class={outcome?.error ? "problem" : undefined} hidden={!said}>
          {said}
        </p>
        <ul id={LIST_ID} role="listbox" aria-label="What it can be">
          {options.map((option, index) => (
            <OptionItem key={index} option={option} id={`${LIST_ID}-${index}`} isActive={index === active} onChoose={() => run(option)} />
          ))}
        </ul>
      </div>
    </div>
  );
}

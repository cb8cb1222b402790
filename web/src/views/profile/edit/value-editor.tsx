import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { kindOf, type Kind } from "../../../api/json";
import type { Json } from "../../../api/types";
import { counted } from "../../../parts/text";
import { INEXACT, TextError, isInexact, parseText } from "./json-text";

/** Longer texts than this, in characters, are replaced and not edited: a field with them is slow. */
const LONGEST = 100_000;

const KINDS: readonly Kind[] = ["string", "number", "boolean", "object", "array"];

/** Edits one value, and keeps its type unless another one is chosen. With `onKey`, also asks for the key. */
export function ValueEditor({
  value,
  isFixed,
  isItem,
  takenKeys,
  onSave,
  onClose,
}: {
  /** Undefined: a new value. */
  value: Json | undefined;
  /** Whether the key is one of a string. */
  isFixed: (key: string) => boolean;
  /** Whether the value is in an array, where a null is a value. */
  isItem: boolean;
  /** Set for a new member of an object: the keys that it has. */
  takenKeys?: readonly string[];
  onSave: (value: Json, key: string) => void;
  onClose: () => void;
}) {
  const form = useRef<HTMLFormElement>(null);
  const first = value === undefined ? "string" : kindOf(value);
  const [kind, setKind] = useState<Kind>(first);
  const [key, setKey] = useState("");
  const [text, setText] = useState(value === undefined ? "" : textOf(value));
  const isTooLong = value !== undefined && textOf(value).length > LONGEST;
  const [isReplaced, setReplaced] = useState(!isTooLong);
  const fixed = isFixed(key);
  const shownKind = fixed ? "string" : kind;
  const isTaken = takenKeys?.includes(key) ?? false;
  const read = readText(shownKind, text);
  useLayoutEffect(() => {
    form.current?.querySelector<HTMLElement>("input, textarea, .text select, button")?.focus();
    form.current?.scrollIntoView({ block: "nearest" });
  }, [isReplaced]);

  const close = (then: () => void) => {
    form.current?.closest<HTMLElement>("[role=treeitem]")?.focus();
    then();
  };
  const save = (event?: Event) => {
    event?.preventDefault();
    if (!isReplaced || isTaken || read.error) return;
    close(() => onSave(read.value ?? null, key));
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Escape") {
      event.preventDefault();
      close(onClose);
    } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      save(event);
    }
  };
  const change = (next: Kind) => {
    setKind(next);
    setText(converted(text, next));
  };

  if (!isReplaced) {
    return (
      // A form of its own: a button that became one that submits, during its click, would submit.
      <form key="replace" ref={form} class="value-editor" onKeyDown={onKeyDown}>
        <p>
          It has {counted(text.length, "character")}: too many to edit here. {kind === "string" ? "You can replace it as a whole." : "Edit a value inside of it, or replace it as a whole."}
        </p>
        <div class="buttons">
          <button
            type="button"
            onClick={() => {
              setText(kind === "array" ? "[]" : kind === "object" ? "{}" : "");
              setReplaced(true);
            }}
          >
            Replace it
          </button>
          <button type="button" onClick={() => close(onClose)}>
            Cancel
          </button>
        </div>
      </form>
    );
  }
  return (
    <form key="edit" ref={form} class="value-editor" onSubmit={save} onKeyDown={onKeyDown} aria-label={takenKeys ? "New key" : "Edit the value"}>
      {takenKeys && (
        <label class="wide">
          Key
          <input value={key} onInput={(event) => setKey(event.currentTarget.value)} autocomplete="off" spellcheck={false} dir="auto" />
        </label>
      )}
      <label>
        Type
        <select value={shownKind} disabled={fixed} onChange={(event) => change(event.currentTarget.value as Kind)}>
          {(isItem ? [...KINDS, "null" as const] : KINDS).map((each) => (
            <option key={each}>{each}</option>
          ))}
        </select>
      </label>
      {shownKind !== "null" && (
        <label class="text">
          {shownKind === "object" || shownKind === "array" ? "Value, as JSON" : "Value"}
          <Field kind={shownKind} text={text} setText={setText} isWrong={read.error !== ""} />
        </label>
      )}
      <p class="hint" role="status">
        {isTaken ? (
          <span class="wrong">This key is there already: edit its value instead.</span>
        ) : read.error ? (
          <span class="wrong">{read.error}</span>
        ) : fixed ? (
          <>This key is always a string.</>
        ) : value !== undefined && shownKind !== first ? (
          <>
            The type changes from {first} to {shownKind}.
          </>
        ) : takenKeys && key === "" ? (
          <>The empty key is a key, too.</>
        ) : null}
      </p>
      <div class="buttons">
        <button class="primary" disabled={isTaken || read.error !== ""}>
          {takenKeys ? "Add" : "Change"}
        </button>
        <button type="button" onClick={() => close(onClose)}>
          Cancel
        </button>
      </div>
    </form>
  );
}

function Field({ kind, text, setText, isWrong }: { kind: Kind; text: string; setText: (text: string) => void; isWrong: boolean }) {
  if (kind === "boolean") {
    return (
      <select value={text} onChange={(event) => setText(event.currentTarget.value)}>
        <option>true</option>
        <option>false</option>
      </select>
    );
  }
  const shared = { value: text, spellcheck: false, "aria-invalid": isWrong, dir: "auto" as const };
  if (kind === "number") return <input {...shared} inputMode="decimal" autocomplete="off" onInput={(event) => setText(event.currentTarget.value)} />;
  const rows = Math.min(14, Math.max(kind === "string" ? 1 : 4, text.split("\n", 14).length, Math.ceil(text.length / 70)));
  return <textarea {...shared} rows={rows} onInput={(event) => setText(event.currentTarget.value)} />;
}

function textOf(value: Json): string {
  if (typeof value === "string") return value;
  return value !== null && typeof value === "object" ? JSON.stringify(value, null, 2) : String(value);
}

/** The text of a value of another type: what was typed, if it can be one. */
function converted(text: string, kind: Kind): string {
  if (kind === "string" || readText(kind, text).error === "") return text;
  return { string: "", number: "", boolean: "false", null: "null", object: "{}", array: "[]" }[kind];
}

/** The value of what was typed, or what is wrong with it. */
function readText(kind: Kind, text: string): { value?: Json; error: string } {
  if (kind === "string") return /\p{Cs}/u.test(text) ? { error: "This string has half of a character." } : { value: text, error: "" };
  if (kind === "null") return { value: null, error: "" };
  if (kind === "number" && isInexact(text.trim())) return { error: INEXACT.replace(/Write .*/, "Choose the type string: it is stored so anyway.") };
  try {
    const value = parseText(text);
    return kindOf(value) === kind ? { value, error: "" } : { error: `This is no ${kind}, but ${kindOf(value)}.` };
  } catch (error) {
    if (!(error instanceof TextError)) throw error;
    if (kind === "number" || kind === "boolean") return { error: `This is no ${kind}.` };
    return { error: `Line ${error.line}, column ${error.column}: ${error.message}` };
  }
}

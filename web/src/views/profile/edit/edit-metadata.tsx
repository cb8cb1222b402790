import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { isObject, kindOf, valueAt } from "../../../api/json";
import { pathId, type Path } from "../../../api/paths";
import type { JsonObject } from "../../../api/types";
import { CloseIcon, EditIcon, PlusIcon } from "../../../parts/icons";
import type { TreeRow } from "../../../parts/tree-rows";
import { announce } from "../../../state/announce";
import { Metadata } from "../shown/metadata";
import { RESERVED, type Change } from "./draft";
import type { Editing } from "./use-editing";
import { ValueEditor } from "./value-editor";

/** What is being edited: a value, or a new member of an object. */
interface Open {
  readonly id: string;
  readonly isNew: boolean;
}

/** The metadata, and what can be changed in them. Without `editing`, a key or a button begins to edit. */
export function EditableMetadata({ metadata, editing, begin }: { metadata: JsonObject; editing: Editing | null; begin: (() => void) | undefined }) {
  const [open, setOpen] = useState<Open | null>(null);
  const [isAdding, setAdding] = useState(false);
  const addButton = useRef<HTMLButtonElement>(null);
  const changes = editing?.changes;
  const notes = useMemo(() => new Map((changes ?? []).map((change) => [pathId(change.path.slice(1)), noteOf(change)])), [changes]);
  // Rows are rendered anew where this changes.
  const version = useMemo(() => ({}), [open, editing !== null, [...notes].join()]);

  // The button that began, or ended a review, is gone: the focus goes to the tree.
  const step = editing?.step.name;
  useLayoutEffect(() => {
    if (step === "edit" && document.activeElement === document.body) document.querySelector<HTMLElement>("[role=treeitem][tabindex='0']")?.focus();
  }, [step]);

  const edit = (row: TreeRow, isNew = false) => {
    begin?.();
    setOpen({ id: row.id, isNew });
  };
  const remove = (path: Path) => {
    editing?.set(path, undefined);
    announce("Marked to be removed");
  };
  const actions = (row: TreeRow) =>
    begin && (
      <>
        {editing && isObject(row.value) && (
          <button type="button" class="icon" aria-label="Add a key" title="Add a key" onClick={() => edit(row, true)}>
            <PlusIcon />
          </button>
        )}
        <button type="button" class="icon" aria-label="Edit" title="Edit (e)" onClick={() => edit(row)}>
          <EditIcon />
        </button>
        {editing && (
          <button type="button" class="icon" aria-label="Remove" title="Remove (Delete)" onClick={() => remove(row.path)}>
            <CloseIcon />
          </button>
        )}
      </>
    );
  const below = (row: TreeRow) => {
    if (!editing || open?.id !== row.id) return undefined;
    const close = () => setOpen(null);
    if (open.isNew) {
      return <NewMember holder={row.path} editing={editing} onClose={close} />;
    }
    const save = (value: TreeRow["value"]) => {
      editing.set(row.path, value);
      close();
    };
    const isReserved = row.path.length === 1 && RESERVED.has(String(row.path[0]));
    const isItem = row.path.some((key) => typeof key === "number");
    return <ValueEditor value={row.value} isFixed={() => isReserved} isItem={isItem} onSave={save} onClose={close} />;
  };
  const onKey = (key: string, row: TreeRow) => {
    if (!begin || row.more > 0) return false;
    if (key === "e") edit(row);
    else if (key === "Delete" && editing) remove(row.path);
    else return false;
    return true;
  };
  const closeAdding = () => {
    setAdding(false);
    addButton.current?.focus();
  };
  return (
    <Metadata
      metadata={metadata}
      tree={{ actions, below, note: (row) => notes.get(row.id) ?? "", version, onKey }}
      aside={
        editing && (
          <button ref={addButton} type="button" class="plain" aria-expanded={isAdding} onClick={() => setAdding(!isAdding)}>
            Add a key
          </button>
        )
      }
    >
      {editing && isAdding && (
        <div class="inside add-key">
          <NewMember holder={[]} editing={editing} onClose={closeAdding} />
        </div>
      )}
    </Metadata>
  );
}

/** Asks for a new member of an object. */
function NewMember({ holder, editing, onClose }: { holder: Path; editing: Editing; onClose: () => void }) {
  const object = valueAt(editing.draft.metadata, holder);
  const isInArray = holder.some((key) => typeof key === "number");
  return (
    <ValueEditor
      value={undefined}
      isFixed={(key) => holder.length === 0 && RESERVED.has(key)}
      isItem={isInArray}
      takenKeys={isObject(object) ? Object.keys(object) : []}
      onSave={(value, key) => {
        editing.set([...holder, key], value);
        announce("Added to your changes");
        onClose();
      }}
      onClose={onClose}
    />
  );
}

function noteOf({ before, after }: Change): string {
  if (before === undefined) return "new";
  return after !== undefined && kindOf(before) !== kindOf(after) ? "new type" : "edited";
}

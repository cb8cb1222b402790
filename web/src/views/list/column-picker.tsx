import { useState } from "preact/hooks";
import { usePaths } from "../../api/catalogue";
import { keyLabel, type ProfileKind } from "../../api/kinds";
import { grouped } from "../../parts/text";
import { CloseIcon } from "../../parts/icons";
import { MAX_COLUMNS, columnAt } from "./columns";

/** More paths than these are found by typing. */
const SHOWN_PATHS = 100;

interface Choice {
  readonly path: string;
  readonly label: string;
  readonly note: string;
}

/** The columns of the list: which, and in which order. */
export function ColumnPicker({ of, paths, onChange }: { of: ProfileKind; paths: readonly string[]; onChange: (paths: readonly string[]) => void }) {
  const { data: known, error } = usePaths(of);
  // What is there is shown at once, so that nothing moves when the rest arrives.
  const isKnown = known !== undefined || error !== undefined;
  const [typed, setTyped] = useState("");
  const isFull = paths.length >= MAX_COLUMNS;
  const choices: Choice[] = [
    ...(known ?? []).map(({ path, types, estimated_user_count: count }) => ({
      path,
      label: path,
      note: `${types?.map(({ type }) => type.replace("_", " ")).join(", ") ?? ""} · ${grouped(count ?? 0)} users`,
    })),
    ...of.fields.slice(1).map(({ path, label }) => ({ path, label, note: "" })),
  ];
  const found = choices.filter(({ path, label }) => `${path} ${label}`.toLowerCase().includes(typed.trim().toLowerCase()));
  const free = columnAt(of, typed.trim())?.path;
  const canAdd = free !== undefined && !paths.includes(free) && !isFull;
  const toggle = (path = "") => onChange(paths.includes(path) ? paths.filter((each) => each !== path) : [...paths, path]);
  const move = (index: number) => {
    const changed = [...paths];
    changed.splice(index - 1, 2, paths[index] ?? "", paths[index - 1] ?? "");
    onChange(changed);
  };
  return (
    <div class="picker">
      <ol aria-label="Columns that are shown">
        <li class="soft">{keyLabel(of)}</li>
        {paths.map((path, index) => (
          <li key={path}>
            {index > 0 && (
              <button type="button" class="icon" aria-label={`Move ${path} to the left`} title="Move to the left" onClick={() => move(index)}>
                ←
              </button>
            )}
            <bdi>{columnAt(of, path)?.label ?? path}</bdi>
            <button type="button" class="icon" aria-label={`Remove ${path}`} onClick={() => toggle(path)}>
              <CloseIcon />
            </button>
          </li>
        ))}
      </ol>
      <div class="filter-line">
        <input
          aria-label="Find or type a path"
          placeholder="Find a field, or type a path such as metadata.plan"
          value={typed}
          spellcheck={false}
          autocomplete="off"
          onInput={(event) => setTyped(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter") return;
            event.preventDefault();
            if (canAdd) toggle(free);
          }}
        />
        <button type="button" disabled={!canAdd} onClick={() => toggle(free)}>
          Add this path
        </button>
      </div>
      {error && <p class="soft">The catalogue of paths is not there at the moment: type a path.</p>}
      <ul class="choices" tabIndex={0} aria-label="Fields">
        {isKnown && found.slice(0, SHOWN_PATHS).map(({ path, label, note }) => (
          <li key={path}>
            <label>
              <input type="checkbox" checked={paths.includes(path)} disabled={isFull && !paths.includes(path)} onChange={() => toggle(path)} />
              <bdi>{label}</bdi>
              {note && <small>{note}</small>}
            </label>
          </li>
        ))}
      </ul>
      {found.length > SHOWN_PATHS && <p class="soft">{grouped(found.length - SHOWN_PATHS)} more: type a part of their names.</p>}
      {isFull && <p class="soft">A list has at most {MAX_COLUMNS} columns.</p>}
    </div>
  );
}

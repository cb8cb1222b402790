import { useState } from "preact/hooks";
import type { ProfileKind } from "../../api/kinds";
import { CloseIcon } from "../../parts/icons";
import { announce } from "../../state/announce";
import { href, route } from "../../state/router";
import { remember, remembered, type SavedFilter } from "./memory";

const NAME_LENGTH = 80;

/** The filters that a person has given names, in this browser alone. `filter` is the present one, which can be saved. */
export function SavedFilters({ of, filter }: { of: ProfileKind; filter: string }) {
  const [filters, setFilters] = useState<readonly SavedFilter[]>(() => remembered(of).filters ?? []);
  const [name, setName] = useState("");
  const [isFull, setFull] = useState(false);
  const keep = (changed: readonly SavedFilter[], said: string) => {
    setFilters(changed);
    setFull(!remember(of, { filters: changed }));
    announce(said);
  };
  const save = () => {
    const label = name.trim();
    if (!label || !filter.trim()) return;
    const { order, columns } = route.value.query;
    keep([...filters.filter((each) => each.name !== label), { name: label, filter, order, columns }], `Saved ${label}`);
    setName("");
  };
  return (
    <>
      {filters.length === 0 ? (
        <p class="soft">No filter is saved yet.</p>
      ) : (
        <ul class="saved">
          {filters.map(({ name: label, ...query }) => (
            <li key={label}>
              <a href={href([of.name], query)}>
                <bdi>{label}</bdi>
              </a>
              <code dir="ltr">{query.filter}</code>
              <button
                type="button"
                class="icon"
                aria-label={`Delete the saved filter ${label}`}
                onClick={() => keep(filters.filter((each) => each.name !== label), `Deleted ${label}`)}
              >
                <CloseIcon />
              </button>
            </li>
          ))}
        </ul>
      )}
      <div class="filter-line">
        <input
          aria-label="Name of the filter"
          placeholder={filter.trim() ? "Name of this filter" : "Apply a filter to save it"}
          maxLength={NAME_LENGTH}
          value={name}
          disabled={!filter.trim()}
          onInput={(event) => setName(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter") return;
            event.preventDefault();
            save();
          }}
        />
        <button type="button" disabled={!name.trim() || !filter.trim()} onClick={save}>
          Save
        </button>
      </div>
      <p class="soft">
        Saved with the order and the columns, in this browser alone: a filter that names a person stays here until you delete it. A link
        to the list carries the same.
      </p>
      {isFull && <p class="problem">This browser does not let the console keep anything.</p>}
    </>
  );
}

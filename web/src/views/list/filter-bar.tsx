import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { navigate, route } from "../../state/router";
import { FilterBuilder } from "./builder";
import { SavedFilters } from "./saved";
import { ordersOf, queryOf, type Source } from "./source";

type Panel = "builder" | "saved" | "columns";

interface Properties {
  source: Source & { kind: "filter" };
  onOrder: (order: string) => void;
  /** What is shown of an error of the filter, directly under its text. */
  error: ComponentChildren;
  columnPicker: ComponentChildren;
}

/** The filter of the list: its text, which can be edited, and what writes, keeps and orders it. */
export function FilterBar({ source, onOrder, error, columnPicker }: Properties) {
  const { of } = source;
  const [text, setText] = useState(source.filter);
  const [panel, setPanel] = useState<Panel>();
  useEffect(() => setText(source.filter), [source.filter]);
  const apply = (filter: string) => {
    if (filter.trim() !== source.filter.trim()) navigate([of.name], { ...route.value.query, ...queryOf({ ...source, filter }) });
  };
  const toggle = (name: Panel, label: string) => (
    <button type="button" aria-expanded={panel === name} aria-controls={`list-${name}`} onClick={() => setPanel(panel === name ? undefined : name)}>
      {label}
    </button>
  );
  return (
    <form
      class="filter-bar"
      onSubmit={(event) => {
        event.preventDefault();
        apply(text);
      }}
    >
      <div class="filter-line">
        <textarea
          aria-label="Filter"
          rows={1}
          value={text}
          placeholder={`All ${of.name}. A filter: ${of.example}`}
          spellcheck={false}
          autocomplete="off"
          dir="ltr"
          onInput={(event) => setText(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            apply(text);
          }}
        />
        <button class="primary" disabled={text.trim() === source.filter.trim()}>
          Apply
        </button>
        {source.filter && (
          <button type="button" onClick={() => apply("")}>
            Clear
          </button>
        )}
      </div>
      {error}
      <div class="filter-tools">
        {toggle("builder", "Build a filter")}
        {toggle("saved", "Saved filters")}
        {toggle("columns", "Columns")}
        <label>
          <span class="hidden">Order</span>
          <select value={source.order} onChange={(event) => onOrder(event.currentTarget.value)}>
            {ordersOf(of).map(([order, label]) => (
              <option key={order} value={order}>
                {label}
              </option>
            ))}
          </select>
        </label>
      </div>
      <div id={`list-${panel ?? ""}`} class="filter-panel" hidden={!panel}>
        {panel === "builder" && <FilterBuilder of={of} text={text} onText={setText} />}
        {panel === "saved" && <SavedFilters of={of} filter={source.filter} />}
        {panel === "columns" && columnPicker}
      </div>
    </form>
  );
}

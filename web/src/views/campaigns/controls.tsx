import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { CloseIcon } from "../../parts/icons";
import { replaceQuery } from "../../state/router";
import { FIELDS, fieldName, MAX_FIELDS, PERIODS, type ReportQuery, TOUCHES } from "./query";
import { NumberPaths, PATHS_LIST } from "./number-paths";

/** What the report is about. Each change is in the URL at once, so a report can be sent as a link. */
export function Controls({ query, today, wrong }: { query: ReportQuery; today: string; wrong: ReadonlySet<string> }) {
  const { groupBy, period } = query;
  const group = (fields: readonly string[]) => replaceQuery({ by: fields.join(","), groups: undefined });
  return (
    <form class="report-controls" aria-label="Report" onSubmit={(event) => event.preventDefault()}>
      <fieldset class="group-by">
        <legend>Group by</legend>
        {groupBy.map((field, index) => (
          <span key={field}>
            <FieldSelect
              label={index ? `and by (${index + 1})` : "Group by"}
              chosen={field}
              taken={groupBy}
              onChoose={(next) => group(groupBy.with(index, next))}
            />
            {groupBy.length > 1 && (
              <button type="button" class="icon" aria-label={`Do not group by ${fieldName(field)}`} onClick={() => group(groupBy.toSpliced(index, 1))}>
                <CloseIcon />
              </button>
            )}
          </span>
        ))}
        {groupBy.length < MAX_FIELDS && (
          <button type="button" onClick={() => group([...groupBy, another(groupBy)])}>
            Add a field
          </button>
        )}
      </fieldset>
      <Field label="Users created">
        <select value={period} onChange={(event) => replaceQuery(rangeOf(event.currentTarget.value, query, today))}>
          {PERIODS.map(([name, label]) => (
            <option key={name} value={name}>
              {label}
            </option>
          ))}
        </select>
      </Field>
      {period === "custom" && (
        <>
          <Field label="From (UTC)">
            <input type="date" value={query.firstDay} max={query.lastDay || today} onChange={(event) => replaceQuery({ from: event.currentTarget.value })} />
          </Field>
          <Field label="To (UTC)">
            <input
              type="date"
              value={query.lastDay}
              min={query.firstDay}
              aria-invalid={wrong.has("end_time")}
              onChange={(event) => replaceQuery({ to: event.currentTarget.value })}
            />
          </Field>
        </>
      )}
      <TextField
        label="Value"
        name="value"
        text={query.valuePath}
        placeholder="metadata.sales_info.lifetime_value"
        isWrong={wrong.has("value_path")}
        list={PATHS_LIST}
      />
      <NumberPaths />
      <TextField label="Only users with" name="filter" text={query.filter} placeholder="metadata.plan = team" isWrong={wrong.has("filter")} />
    </form>
  );
}

function FieldSelect({
  label,
  chosen,
  taken,
  onChoose,
}: {
  label: string;
  chosen: string;
  taken: readonly string[];
  onChoose: (field: string) => void;
}) {
  return (
    <select aria-label={label} value={chosen} onChange={(event) => onChoose(event.currentTarget.value)}>
      {TOUCHES.map(([touch, name]) => (
        <optgroup key={touch} label={`${name} campaign`}>
          {FIELDS.map((field) => {
            const path = `${touch}.${field}`;
            return (
              <option key={path} value={path} disabled={path !== chosen && taken.includes(path)}>
                {fieldName(path)}
              </option>
            );
          })}
        </optgroup>
      ))}
    </select>
  );
}

/** The field that is most likely wanted next: the next one of the same campaign. */
function another(groupBy: readonly string[]): string {
  const touch = groupBy.at(-1)?.split(".")[0] ?? "initial_campaign";
  const paths = [touch, ...TOUCHES.map(([each]) => each)].flatMap((each) => FIELDS.map((field) => `${each}.${field}`));
  return paths.find((path) => !groupBy.includes(path)) ?? "";
}

/** The parameters of a range of time. Days of one's own begin with those that were shown. */
function rangeOf(period: string, query: ReportQuery, today: string): Record<string, string | undefined> {
  if (period !== "custom") return { period, from: undefined, to: undefined };
  return { period, from: query.firstDay, to: query.lastDay || today };
}

function Field({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <label>
      <span>{label}</span>
      {children}
    </label>
  );
}

/** A parameter of the URL as a text field: changed on Enter, and when it loses the focus. */
function TextField({
  label,
  name,
  text,
  placeholder,
  isWrong,
  list,
}: {
  label: string;
  name: string;
  text: string;
  placeholder: string;
  isWrong: boolean;
  list?: string;
}) {
  const [typed, setTyped] = useState(text);
  useEffect(() => setTyped(text), [text]);
  const apply = () => {
    if (typed.trim() !== text) replaceQuery({ [name]: typed.trim() });
  };
  return (
    <Field label={label}>
      <input
        type="text"
        value={typed}
        placeholder={placeholder}
        aria-invalid={isWrong}
        spellcheck={false}
        autocomplete="off"
        autocapitalize="off"
        {...(list && { list })}
        onInput={(event) => setTyped(event.currentTarget.value)}
        onBlur={apply}
        onKeyDown={(event) => {
          if (event.key === "Enter") apply();
        }}
      />
    </Field>
  );
}

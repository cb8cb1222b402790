import { fieldAt, kindAt, typedPath, type Field } from "../../api/fields";
import type { MetadataPath } from "../../api/types";
import { CloseIcon } from "../../parts/icons";
import { EMPTY, lack, needsValue, relationsOf, typesOf, type Condition, type Relation, type ValueType } from "./conditions";

const TYPES: Readonly<Record<ValueType, string>> = { text: "text", number: "number", boolean: "yes or no", time: "time" };

interface Properties {
  condition: Condition;
  /** Those outside metadata. */
  fields: readonly Field[];
  paths: readonly MetadataPath[];
  /** The id of the list of paths that the field suggests. */
  pathsId: string;
  onChange: (condition: Condition) => void;
  onRemove: () => void;
}

/** One condition: a field, what holds for it, and a value of the field's type. */
export function ConditionRow({ condition, fields, paths, pathsId, onChange, onRemove }: Properties) {
  const { path, relation, type, value } = condition;
  const kind = kindAt(fields, typedPath(path) ?? []);
  const types = typesOf(kind);
  const problem = path ? lack(fields, condition) : "";
  const relations = relationsOf(kind, type);
  return (
    <div class="condition">
      <input
        aria-label="Field"
        placeholder="metadata.plan"
        list={pathsId}
        value={path}
        autocomplete="off"
        spellcheck={false}
        onInput={(event) => onChange(withPath(condition, event.currentTarget.value.trim(), fields, paths))}
      />
      <select aria-label="Relation" value={relation} onChange={(event) => onChange({ ...condition, relation: event.currentTarget.value as Relation })}>
        {relations.map(([each, words]) => (
          <option key={each} value={each}>
            {words}
          </option>
        ))}
      </select>
      {needsValue(relation) && types.length > 1 && (
        <select aria-label="Type of the value" value={type} onChange={(event) => onChange(withType(condition, event.currentTarget.value as ValueType, fields))}>
          {types.map((each) => (
            <option key={each} value={each}>
              {TYPES[each]}
            </option>
          ))}
        </select>
      )}
      {needsValue(relation) && <ValueField type={type} value={value} onChange={(changed) => onChange({ ...condition, value: changed })} />}
      <button type="button" class="icon" aria-label={`Remove the condition ${path}`} onClick={onRemove}>
        <CloseIcon />
      </button>
      {problem && <small class="problem">{problem}</small>}
    </div>
  );
}

function ValueField({ type, value, onChange }: { type: ValueType; value: string; onChange: (value: string) => void }) {
  if (type === "boolean") {
    return (
      <select aria-label="Value" value={value || "true"} onChange={(event) => onChange(event.currentTarget.value)}>
        <option value="true">true</option>
        <option value="false">false</option>
      </select>
    );
  }
  // The field of the browser shows a time to the second. Any other stays as it was written.
  const local = /^(\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?)Z$/.exec(value)?.[1];
  if (type === "time" && (local || !value)) {
    return (
      <label class="utc">
        <input
          type="datetime-local"
          step="1"
          aria-label="Time in UTC"
          value={local ?? ""}
          onChange={(event) => onChange(event.currentTarget.value && `${event.currentTarget.value}${event.currentTarget.value.length === 16 ? ":00" : ""}Z`)}
        />
        UTC
      </label>
    );
  }
  return (
    <input
      aria-label="Value"
      dir="auto"
      value={value}
      autocomplete="off"
      spellcheck={false}
      inputMode={type === "number" ? "decimal" : "text"}
      onInput={(event) => onChange(type === "number" ? event.currentTarget.value.trim() : event.currentTarget.value)}
    />
  );
}

const OF_CATALOGUE: Readonly<Record<string, ValueType>> = { string: "text", number: "number", boolean: "boolean" };

/** Another field, whose values may have another type. */
function withPath(condition: Condition, path: string, fields: readonly Field[], paths: readonly MetadataPath[]): Condition {
  const known = paths.find((each) => each.path === path)?.types?.[0]?.type ?? "";
  const types = typesOf(fieldAt(fields, path)?.kind);
  const type = OF_CATALOGUE[known] ?? (types.includes(condition.type) ? condition.type : (types[0] ?? EMPTY.type));
  const changed = withType({ ...condition, path }, type, fields);
  return known.endsWith("array") && changed.relation === "=" ? { ...changed, relation: ":" } : changed;
}

function withType(condition: Condition, type: ValueType, fields: readonly Field[]): Condition {
  const relations = relationsOf(kindAt(fields, typedPath(condition.path) ?? []), type);
  const relation = relations.some(([each]) => each === condition.relation) ? condition.relation : "=";
  return { ...condition, relation, type, value: type === condition.type ? condition.value : "" };
}

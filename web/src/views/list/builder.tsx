import { useEffect, useRef, useState } from "preact/hooks";
import { usePaths } from "../../api/catalogue";
import type { ProfileKind } from "../../api/kinds";
import { ConditionRow } from "./condition-row";
import { EMPTY, filterText, groupsOf, type Condition, type Groups } from "./conditions";

const PATHS_ID = "filter-paths";

/** Rows that write a filter. The text is the truth: what the rows cannot show of it, they say. */
export function FilterBuilder({ of, text, onText }: { of: ProfileKind; text: string; onText: (text: string) => void }) {
  const { fields } = of;
  const { data: paths = [] } = usePaths(of);
  const [groups, setGroups] = useState<Groups | undefined>(() => begun(groupsOf(fields, text)));
  const written = useRef(text);
  useEffect(() => {
    if (text !== written.current) setGroups(begun(groupsOf(fields, text)));
    written.current = text;
  }, [text]);

  const change = (changed: Groups) => {
    setGroups(changed.length > 0 ? changed : [[EMPTY]]);
    written.current = filterText(fields, changed);
    onText(written.current);
  };
  if (!groups) {
    return (
      <div class="note">
        <p>The rows cannot show what this filter says. It works all the same: edit its text.</p>
        <button type="button" onClick={() => change([[EMPTY]])}>
          Begin anew with rows
        </button>
      </div>
    );
  }

  const changeGroup = (index: number, group: readonly Condition[]) =>
    change(groups.map((each, other) => (other === index ? group : each)).filter((each) => each.length > 0));
  return (
    <div class="builder">
      <datalist id={PATHS_ID}>
        {fields.map(({ path, label }) => (
          <option key={path} value={path} label={label} />
        ))}
        {paths.map(({ path }) => (
          <option key={path} value={path} />
        ))}
      </datalist>
      {groups.map((group, index) => (
        <fieldset key={index}>
          <legend class={index > 0 ? undefined : "hidden"}>{index > 0 ? "and" : "where"}</legend>
          {group.map((condition, place) => (
            <div key={place} class="alternative">
              {place > 0 && <span>or</span>}
              <ConditionRow
                condition={condition}
                fields={fields}
                paths={paths}
                pathsId={PATHS_ID}
                onChange={(changed) => changeGroup(index, group.map((each, other) => (other === place ? changed : each)))}
                onRemove={() => changeGroup(index, group.filter((_, other) => other !== place))}
              />
            </div>
          ))}
          <button type="button" class="plain" onClick={() => changeGroup(index, [...group, EMPTY])}>
            or …
          </button>
        </fieldset>
      ))}
      <button type="button" onClick={() => change([...groups, [EMPTY]])}>
        and …
      </button>
      <p class="soft">
        All groups must hold, and of each group one condition. In a filter, OR binds tighter than AND: <code>a OR b AND c</code> means{" "}
        <code>(a OR b) AND c</code>.
      </p>
    </div>
  );
}

function begun(groups: Groups | undefined): Groups | undefined {
  return groups?.length === 0 ? [[EMPTY]] : groups;
}

import { usePaths } from "../../api/catalogue";
import { USERS } from "../../api/kinds";
import { can } from "../../state/session";

export const PATHS_LIST = "number-paths";

/** The paths of metadata that hold numbers, as suggestions. Without them, or without the scope, a path can be typed. */
export function NumberPaths() {
  return can("read:users") ? <Suggestions /> : null;
}

function Suggestions() {
  const paths = (usePaths(USERS).data ?? []).filter(({ types }) => types.some(({ type }) => type === "number"));
  return (
    <datalist id={PATHS_LIST}>
      {paths.map(({ path }) => (
        <option key={path} value={path} />
      ))}
    </datalist>
  );
}

import { useRef } from "preact/hooks";
import type { Catalogue, MetadataPath } from "../../api/types";
import { Bar } from "../../parts/bar";
import { Copy } from "../../parts/copy";
import { grouped, shareText } from "../../parts/text";
import { href } from "../../state/router";
import { useRowKeys } from "../../state/rows";
import { byType, having } from "./filters";
import { looksLike, typeName } from "./looks";

export type Order = "path" | "users";

/** Paths with their types, their users and what their values look like. */
export function PathTable({ catalogue, paths, order, label }: { catalogue: Catalogue; paths: readonly MetadataPath[]; order: Order; label: string }) {
  const body = useRef<HTMLTableSectionElement>(null);
  useRowKeys(body, "a.users");
  return (
    <table class="paths" aria-label={label}>
      <thead>
        <tr>
          <th scope="col" aria-sort={order === "path" ? "ascending" : "none"}>
            Path
          </th>
          <th scope="col">Types</th>
          <th scope="col">Looks like</th>
          <th scope="col" class="number" aria-sort={order === "users" ? "descending" : "none"}>
            Users
          </th>
        </tr>
      </thead>
      <tbody ref={body}>
        {paths.map((path) => (
          <tr key={path.path}>
            <th scope="row">
              <code class="path" dir="ltr">
                <PathName path={path.path} />
              </code>
              <Copy text={path.path} what={`path ${path.path}`} />
            </th>
            <td>
              <Types path={path} />
            </td>
            <td class="looks">
              {looksLike(path).map((look) => (
                <span key={look}>{look}</span>
              ))}
            </td>
            <td class="number">
              <Users catalogue={catalogue} path={path} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** A path whose last key stands out. */
function PathName({ path }: { path: string }) {
  const [, before = "", last = path] = /^(.*?)(\.?[\w-]+|\.\*|\["(?:[^"\\]|\\.)*"\])$/s.exec(path) ?? [];
  return (
    <bdi>
      <span class="soft">{before}</span>
      {last}
    </bdi>
  );
}

/** One type as a word; several with their shares, as bars and in numbers. */
function Types({ path }: { path: MetadataPath }) {
  const { types, has_conflict: hasConflict, has_wildcard: hasWildcard } = path;
  const [only] = types;
  const whole = types.reduce((sum, { count }) => sum + Number(count), 0);
  if (types.length === 1 && only) return <span class="badge">{typeName(only.type)}</span>;
  return (
    <>
      <ul class="types">
        {types.map(({ type, count }) => (
          <li key={type}>
            <span>{typeName(type)}</span>
            <Bar share={Number(count) / whole} />
            <span class="number">{shareText(Number(count), whole)}</span>
          </li>
        ))}
      </ul>
      {hasConflict && !hasWildcard && (
        <span class="by-type">
          Users with{" "}
          {byType(path).map(([label, filter], index) => (
            <span key={label}>
              {index > 0 && ", "}
              <a href={href(["users"], { filter })}>{label}</a>
            </span>
          ))}
        </span>
      )}
    </>
  );
}

function Users({ catalogue, path }: { catalogue: Catalogue; path: MetadataPath }) {
  const { is_complete: isComplete, sampled_user_count: sampled } = catalogue;
  const count = `${isComplete ? "" : "about "}${grouped(path.estimated_user_count)}`;
  return (
    <span class="path-users">
      {path.has_wildcard ? (
        <span title="A filter cannot name many keys at once">{count}</span>
      ) : (
        <a class="users" href={href(["users"], { filter: having(path.path) })} aria-label={`${count} users with ${path.path}`}>
          {count}
        </a>
      )}
      <Bar share={sampled > 0 ? path.sampled_user_count / sampled : 0} />
      <small>{shareText(path.sampled_user_count, sampled)}</small>
    </span>
  );
}

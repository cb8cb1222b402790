import type { ProfileKind } from "../../api/kinds";
import { Copy } from "../../parts/copy";
import { Section } from "../../parts/page";
import { can } from "../../state/session";
import { curlOf } from "./curl";

/** The commands that do the same as the buttons of the page. */
export function Commands({ of, id }: { of: ProfileKind; id: string }) {
  const body = { [of.key]: id };
  const commands: readonly (readonly [string, string])[] = [
    ["Export", curlOf(`v1/${of.name}:export`, body)],
    ...(can(`delete:${of.scope}`) ? [["Erase", curlOf(`v1/${of.name}:delete`, body)] as const] : []),
  ];
  return (
    <Section title="As commands" note="with a management token">
      {commands.map(([name, command]) => (
        <div key={name} class="touch">
          <h3>
            {name}
            <span class="right">
              <Copy text={command} what={`${name.toLowerCase()} command`} />
            </span>
          </h3>
          <pre tabIndex={0} aria-label={`${name} command`}>
            {command}
          </pre>
        </div>
      ))}
    </Section>
  );
}

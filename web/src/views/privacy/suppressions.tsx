import { useState } from "preact/hooks";
import { listSuppressions } from "../../api/privacy";
import { Copy } from "../../parts/copy";
import { Section } from "../../parts/page";
import { Empty, Loaded } from "../../parts/states";
import { Time } from "../../parts/time";
import { useResource } from "../../state/resource";
import { api } from "../../state/session";

/** Who is suppressed. Nobody's id is stored, so only digests are shown. */
export function Suppressions() {
  const [pages, setPages] = useState<readonly string[]>([""]);
  const token = pages.at(-1) ?? "";
  const page = useResource(token, (signal) => listSuppressions(api(), token, signal));
  return (
    <Section title="Suppressions" note="erased users whose updates are dropped">
      <div class="suppressions">
        <Loaded resource={page} rows={3}>
        {({ suppressions, next_page_token: next }) =>
          suppressions.length === 0 ? (
            <Empty title="Nobody is suppressed">
              <p>One begins when a user is erased. To lift one, enter the user id above.</p>
            </Empty>
          ) : (
            <>
              <div class="scrolls">
                <table>
                  <thead>
                    <tr>
                      <th scope="col">Digest of the user id</th>
                      <th scope="col">Since</th>
                      <th scope="col">Ends</th>
                    </tr>
                  </thead>
                  <tbody>
                    {suppressions.map((each) => (
                      <tr key={each.user_id_digest}>
                        <td>
                          <code class="digest">{each.user_id_digest.slice(0, 16)}…</code> <Copy text={each.user_id_digest} what="digest" />
                        </td>
                        <td>
                          <Time of={each.start_time} />
                        </td>
                        <td>
                          <Time of={each.end_time} />
                        </td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
              {(pages.length > 1 || next) && (
                <div class="inside buttons">
                  <button type="button" disabled={pages.length === 1} onClick={() => setPages(pages.slice(0, -1))}>
                    Previous
                  </button>
                  <button type="button" disabled={!next} onClick={() => setPages([...pages, next ?? ""])}>
                    Next
                  </button>
                </div>
              )}
            </>
          )
        }
      </Loaded>
      </div>
    </Section>
  );
}

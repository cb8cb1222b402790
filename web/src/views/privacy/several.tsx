import { useState } from "preact/hooks";
import { exportUsers } from "../../api/privacy";
import { download } from "../../parts/download";
import { Erase } from "../../parts/erase";
import { Section } from "../../parts/page";
import { ErrorNote } from "../../parts/states";
import { counted } from "../../parts/text";
import { useAction } from "../../state/action";
import { announce } from "../../state/announce";
import { api, can } from "../../state/session";

/** Exports or erases many users, whose ids are pasted. */
export function Several({ onChange }: { onChange: () => void }) {
  const [text, setText] = useState("");
  const [isErasing, setErasing] = useState(false);
  const [report, setReport] = useState("");
  const userIds = [...new Set(text.split(/\r?\n/).filter(Boolean))];

  const done = (result: string) => {
    setErasing(false);
    setReport(result);
    announce(result);
    onChange();
  };
  const { act: save, isBusy, error } = useAction(async () => {
    const results = await exportUsers(api(), userIds);
    const found = results.flatMap((each) => (each.response ? [each.response] : []));
    download("users.jsonl", "application/jsonl", found.map((each) => `${JSON.stringify(each)}\n`));
    setReport(`Exported ${counted(found.length, "user")}. Of ${counted(userIds.length - found.length, "id")}, nothing is stored.`);
  });

  return (
    <Section title="Several people" note="one user id a line">
      <div class="inside several">
        <textarea
          aria-label="User ids, one a line"
          rows={4}
          spellcheck={false}
          dir="auto"
          value={text}
          onInput={(event) => {
            setText(event.currentTarget.value);
            setReport("");
            setErasing(false);
          }}
        />
        <div class="buttons">
          {can("read:users") && (
            <button type="button" disabled={userIds.length === 0} aria-busy={isBusy} onClick={save}>
              {isBusy ? "Exporting …" : "Download the exports"}
            </button>
          )}
          {can("delete:users") && !isErasing && (
            <button type="button" class="danger" disabled={userIds.length === 0} onClick={() => setErasing(true)}>
              Erase…
            </button>
          )}
          <span class="soft">{userIds.length > 0 && counted(userIds.length, "id")}</span>
        </div>
        {report && <p class="note good">{report}</p>}
        {error && <ErrorNote error={error} />}
        {isErasing && (
          <Erase userIds={userIds} typed={`erase ${userIds.length}`} onClose={() => setErasing(false)} onDone={done} />
        )}
      </div>
    </Section>
  );
}

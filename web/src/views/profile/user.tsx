import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { USERS } from "../../api/kinds";
import { getWholeUser } from "../../api/profiles";
import { ActionButton } from "../../parts/action-button";
import { Erase } from "../../parts/erase";
import { saveExport } from "../../parts/save-export";
import { ErrorNote } from "../../parts/states";
import { announce } from "../../state/announce";
import { useKeys } from "../../state/keyboard";
import { useResource } from "../../state/resource";
import { href, route } from "../../state/router";
import { api, can } from "../../state/session";
import { Content } from "./content";
import { Leaving } from "./edit/leaving";
import { EditBar } from "./edit/edit-bar";
import { useEditor } from "./edit/use-editing";
import { Head } from "./shown/head";
import { Missing } from "./missing";
import { Merge } from "../later";
import "./profile.css";

/** One user. */
export function UserView() {
  const asked = route.value.args[0] ?? "";
  const { data, error, reload } = useResource(asked, (signal) => getWholeUser(api(), asked, can("read:companies"), signal));
  const [panel, setPanel] = useState<"" | "erase" | "merge">("");
  const [report, setReport] = useState("");
  const [isErased, setErased] = useState(false);
  const editor = useEditor();
  const editButton = useRef<HTMLButtonElement>(null);
  const wasEditing = useRef(false);
  const { editing, isLeaving } = editor;
  const user = data?.user;
  // An id may lead to a user who has another one.
  const userId = user?.user_id ?? asked;
  const canEdit = user !== undefined && can("write:users") && can("read:users");
  const begin = () => {
    if (!user || editing) return;
    setReport("");
    setPanel("");
    editor.begin(user);
  };
  const say = (text: string) => {
    setReport(text);
    announce(text);
  };
  const sent = (text: string) => {
    editor.end();
    say(text);
    reload();
  };
  useKeys({
    e: () => canEdit && begin(),
    Escape: () => {
      if (!editing || isLeaving) return;
      if (editing.step.name === "edit") editor.leave();
      else editing.go({ name: "edit" });
    },
  });
  const isEditing = editing !== null;
  useLayoutEffect(() => {
    if (wasEditing.current && !isEditing && document.activeElement === document.body) editButton.current?.focus();
    wasEditing.current = isEditing;
  }, [isEditing]);
  const toggle = (name: "erase" | "merge") => setPanel(panel === name ? "" : name);
  if (isErased) return <Erased userId={userId} report={report} />;
  return (
    <>
      <Head of={USERS} id={userId} profile={user}>
        {user && !editing && (
          <>
            <ActionButton label="Export" title="Everything that is stored about this user, as a file" run={() => saveExport(USERS, userId)} />
            {canEdit && (
              <button type="button" aria-expanded={panel === "merge"} onClick={() => toggle("merge")}>
                Merge…
              </button>
            )}
            {can("delete:users") && (
              <button type="button" class="danger" aria-expanded={panel === "erase"} onClick={() => toggle("erase")}>
                Erase…
              </button>
            )}
            {canEdit && (
              <button ref={editButton} type="button" class="primary" onClick={begin}>
                Edit
              </button>
            )}
          </>
        )}
      </Head>
      {error && <ErrorNote error={error} retry={reload} />}
      {report && <Report key={report} text={report} />}
      {data?.followed !== undefined && (
        <p class="note">
          The id <code dir="auto">{data.followed}</code> leads here: that user became a part of this one.
        </p>
      )}
      {user && panel === "merge" && !editing && (
        <Merge
          user={user}
          onClose={() => setPanel("")}
          onDone={(text: string) => {
            setPanel("");
            say(text);
            reload();
          }}
        />
      )}
      {panel === "erase" && !editing && (
        <Erase
          userIds={[userId]}
          typed={userId}
          onClose={() => setPanel("")}
          onDone={(text) => {
            say(text);
            setErased(true);
          }}
        />
      )}
      {data === null ? (
        <Missing userId={userId} />
      ) : !user && error ? null : (
        <Content userId={userId} user={user} company={data?.company} editing={editing} begin={canEdit ? begin : undefined} onSent={sent} />
      )}
      {editing &&
        (isLeaving ? <Leaving count={editing.changes.length} answer={editor.answer} /> : editing.step.name === "edit" && <EditBar editing={editing} leave={editor.leave} />)}
    </>
  );
}

/** What was done. The button that did it is gone, so the focus is here. */
function Report({ text }: { text: string }) {
  const note = useRef<HTMLParagraphElement>(null);
  useLayoutEffect(() => note.current?.focus(), []);
  return (
    <p ref={note} class="note good" tabIndex={-1}>
      {text}
    </p>
  );
}

/** What is left of the page of a user who was erased from it. */
function Erased({ userId, report }: { userId: string; report: string }) {
  return (
    <>
      <Head of={USERS} id={userId} profile={undefined} />
      <p class="note good">{report}</p>
      <p>
        <a href={href(["users"])}>All users</a>
        {can("delete:users") && (
          <>
            {" "}
            · <a href={href(["privacy"])}>Suppressions in Privacy</a>
          </>
        )}
      </p>
    </>
  );
}

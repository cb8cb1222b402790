import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { getUser } from "../../api/users";
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
import { Head } from "./head";
import { Missing } from "./missing";
import "./user.css";

/** One user. */
export function UserView() {
  const userId = route.value.args[0] ?? "";
  const { data, error, reload } = useResource(userId, (signal) => getUser(api(), userId, signal));
  const [isErasing, setErasing] = useState(false);
  const [report, setReport] = useState("");
  const [isErased, setErased] = useState(false);
  const editor = useEditor();
  const editButton = useRef<HTMLButtonElement>(null);
  const wasEditing = useRef(false);
  const { editing, isLeaving } = editor;
  const user = data ?? undefined;
  const canEdit = user !== undefined && can("write:users") && can("read:users");
  const begin = () => {
    if (!user || editing) return;
    setReport("");
    setErasing(false);
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
  if (isErased) return <Erased userId={userId} report={report} />;
  return (
    <>
      <Head userId={userId} user={user}>
        {user && !editing && (
          <>
            <ActionButton label="Export" title="Everything that is stored about this user, as a file" run={() => saveExport(userId)} />
            {can("delete:users") && (
              <button type="button" class="danger" aria-expanded={isErasing} onClick={() => setErasing(!isErasing)}>
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
      {isErasing && !editing && (
        <Erase
          userIds={[userId]}
          typed={userId}
          onClose={() => setErasing(false)}
          onDone={(text) => {
            say(text);
            setErased(true);
          }}
        />
      )}
      {data === null ? (
        <Missing userId={userId} />
      ) : !user && error ? null : (
        <Content userId={userId} user={user} editing={editing} begin={canEdit ? begin : undefined} onSent={sent} />
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
      <Head userId={userId} user={undefined} />
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

import type { Refusal } from "../../api/types";
import { Section } from "../../parts/page";
import { counted } from "../../parts/text";
import { Time } from "../../parts/time";
import type { Advice } from "./advice";
import { adviceFor, adviceForField } from "./advise";
import { type LibraryGroup, libraryName, type ReasonGroup } from "./groups";
import { isNew } from "./seen";

/** What one client library sends wrongly. */
export function Library({ group, seen }: { group: LibraryGroup; seen: number }) {
  return (
    <Section title={libraryName(group.client)} note={counted(group.count, "time")}>
      {group.reasons.map((each) => (
        <Reason key={each.reason} group={each} seen={seen} />
      ))}
    </Section>
  );
}

function Reason({ group, seen }: { group: ReasonGroup; seen: number }) {
  // The fields of a request say more than that it is invalid, and a warning says all that its field does.
  const isAboutFields = group.refusals.every(({ fields }) => fields.some(({ field }) => field !== ""));
  return (
    <div class="reason">
      <h3>
        <code>{group.reason}</code>
      </h3>
      {!isAboutFields && <ToDo advice={adviceFor(group.reason)} />}
      <ul>
        {group.refusals.map((refusal) => (
          <li key={JSON.stringify([refusal.method, refusal.fields])}>
            <Row refusal={refusal} seen={seen} />
          </li>
        ))}
      </ul>
    </div>
  );
}

function Row({ refusal, seen }: { refusal: Refusal; seen: number }) {
  const { method, fields, count, first_time: first, last_time: last } = refusal;
  return (
    <>
      <p class="refusal">
        <code>{methodName(method)}</code> {isNew(refusal, seen) && <Mark refusal={refusal} seen={seen} />}
        <span class="when">
          {counted(count, "time")}, last <Time of={last} />
          {first !== last && (
            <>
              , first <Time of={first} />
            </>
          )}
        </span>
      </p>
      {fields.some(({ field }) => field !== "") && (
        <ul class="fields">
          {fields.map(({ field, reason }) => (
            <li key={`${field} ${reason}`}>
              <ToDo field={field} advice={adviceForField(field, reason, refusal.is_warning)} reason={reason === refusal.reason ? "" : reason} />
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

/** `new`: it happened for the first time since the inbox was last opened; else it happened again. */
function Mark({ refusal, seen }: { refusal: Refusal; seen: number }) {
  return Date.parse(refusal.first_time) > seen ? <span class="badge bad">new</span> : <span class="badge warn">again</span>;
}

function ToDo({ advice: [says, form], field, reason }: { advice: Advice; field?: string; reason?: string }) {
  return (
    <p class="to-do">
      {field !== undefined && <b>{fieldName(field)} </b>}
      {says}{" "}
      {form && (
        <>
          For example <code class="form">{form}</code>{" "}
        </>
      )}
      {reason && <code class="soft">{reason}</code>}
    </p>
  );
}

function fieldName(field: string): string {
  if (field === "*") return "A field that the API does not have";
  if (field === "metadata") return "metadata, or something in it,";
  return field === "" ? "The request" : field;
}

function methodName(method: string): string {
  if (method === "") return "of any route: too many kinds at once";
  return method === "none" ? "before its route was known" : method;
}

import { useState } from "preact/hooks";
import { COMPANIES, USERS, VISITORS } from "../../api/kinds";
import { PageHead } from "../../parts/page";
import { can } from "../../state/session";
import { navigate, route } from "../../state/router";
import { Lookup } from "./lookup";
import { Person } from "./person";
import { Plain } from "./plain";
import { Several } from "./several";
import { Suppressions } from "./suppressions";

/** What data protection law gives people a right to: a copy of what is stored, and its erasure. */
export function PrivacyView() {
  const [id = ""] = route.value.args;
  const kinds = [USERS, VISITORS, COMPANIES].filter(({ scope }) => can(`read:${scope}`) || can(`delete:${scope}`));
  const of = kinds.find(({ one }) => one === route.value.query["of"]) ?? kinds[0] ?? USERS;
  const query = { of: of === USERS ? undefined : of.one };
  const isOfUsers = kinds.includes(USERS);
  // Erasing and lifting change the list.
  const [changes, setChanges] = useState(0);
  const onChange = () => setChanges((before) => before + 1);
  return (
    <>
      <PageHead
        title="Privacy"
        lead="What is stored about a person, and its erasure. The logs say which credential did it, never whose data it was."
      />
      <Lookup of={of} kinds={kinds} id={id} choose={({ one }) => navigate(["privacy"], { of: one })} find={(found) => navigate(["privacy", found], query)} />
      {id && (of === USERS ? <Person key={id} userId={id} onChange={onChange} /> : <Plain key={`${of.one} ${id}`} of={of} id={id} />)}
      {isOfUsers && <Several onChange={onChange} />}
      {can("delete:users") && <Suppressions key={changes} />}
    </>
  );
}

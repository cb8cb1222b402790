import { useState } from "preact/hooks";
import { PageHead } from "../../parts/page";
import { can } from "../../state/session";
import { navigate, route } from "../../state/router";
import { Lookup } from "./lookup";
import { Person } from "./person";
import { Several } from "./several";
import { Suppressions } from "./suppressions";
import "./privacy.css";

/** What data protection law gives people a right to: a copy of what is stored, and its erasure. */
export function PrivacyView() {
  const [userId = ""] = route.value.args;
  // Erasing and lifting change the list.
  const [changes, setChanges] = useState(0);
  const onChange = () => setChanges((before) => before + 1);
  return (
    <>
      <PageHead
        title="Privacy"
        lead="What is stored about a person, and its erasure. The logs say which credential did it, never whose data it was."
      />
      <Lookup userId={userId} find={(id) => navigate(["privacy", id])} />
      {userId && <Person key={userId} userId={userId} onChange={onChange} />}
      <Several onChange={onChange} />
      {can("delete:users") && <Suppressions key={changes} />}
    </>
  );
}

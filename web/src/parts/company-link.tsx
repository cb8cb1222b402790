import { Foreign } from "./text";
import { href } from "../state/router";
import { can } from "../state/session";

/** A company: its page or, for a token that may not read companies, the list of its users. */
export function companyPlace(id: string): string {
  return can("read:companies") ? href(["company", id]) : href(["users"], { company: id });
}

export function CompanyLink({ id, label = id }: { id: string; label?: string }) {
  return (
    <a href={companyPlace(id)}>
      <Foreign text={label} />
    </a>
  );
}

import { ApiError } from "../../api/errors";
import type { Advice, ADVICE } from "./advice";

let tables: typeof ADVICE | undefined;

/** Load what there is to say, once. Throws ApiError. */
export async function loadAdvice(): Promise<void> {
  if (tables) return;
  try {
    const response = await fetch(new URL("console/advice.json", document.baseURI), { credentials: "omit" });
    if (response.ok) tables = (await response.json()) as typeof ADVICE;
  } catch {
    // It says the same as a response that is no success.
  }
  if (!tables) throw new ApiError(0, "UNREACHABLE", "Userfold does not answer.", "");
}

/** What to do about a reason of a field, with the right form of that field where it helps. */
export function adviceForField(field: string, reason: string, isWarning: boolean): Advice {
  const [says, form] = (isWarning ? tables?.warnings[reason] : undefined) ?? tables?.fields[reason] ?? ["has a reason that this console does not know: it is older than the server."];
  const shown = (FORM_HELPS.has(reason) && tables?.forms[field.split(/[.[]/)[0] ?? ""]) || form;
  return shown ? [says, shown] : [says];
}

const FORM_HELPS = new Set(["REQUIRED", "WRONG_TYPE", "KEPT_AS_TEXT", "NOT_EXACTLY_ONE", "INVALID_VALUE_PATH"]);

/** What to do about an error, or about a warning without a field. */
export function adviceFor(reason: string): Advice {
  return tables?.errors[reason] ?? tables?.fields[reason] ?? ["This console does not know the reason: it is older than the server."];
}

import { USERS, type ProfileKind } from "../api/kinds";
import { exportProfile, exportUsers } from "../api/privacy";
import { announce } from "../state/announce";
import { api } from "../state/session";
import { download, fileName } from "./download";

/** Save everything that is stored about a user, a company or a visitor as a file. Throws ApiError. */
export async function saveExport(of: ProfileKind, id: string): Promise<void> {
  const exported = of === USERS ? await exportOfUser(id) : await exportProfile(api(), of, id);
  download(`${fileName(id)}.json`, "application/json", [JSON.stringify(exported, null, 2)]);
  announce("The export was saved");
}

async function exportOfUser(userId: string): Promise<unknown> {
  const [result] = await exportUsers(api(), [userId]);
  if (result?.error) throw result.error;
  return result?.response;
}

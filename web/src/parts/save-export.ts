import { exportUsers } from "../api/privacy";
import { announce } from "../state/announce";
import { api } from "../state/session";
import { download, fileName } from "./download";

/** Save everything that is stored about a user as a file. Throws ApiError. */
export async function saveExport(userId: string): Promise<void> {
  const [result] = await exportUsers(api(), [userId]);
  if (result?.error) throw result.error;
  download(`${fileName(userId)}.json`, "application/json", [JSON.stringify(result?.response, null, 2)]);
  announce("The export was saved");
}

import { messageOf } from "../../engine/errors.ts";
import { readClientEntries } from "./client-entry.ts";
import { ClientHistory } from "./clients.ts";

/**
 * The histories in these files put together.
 * @throws Error with the file and what is wrong with it
 */
export async function readClientHistory(
  files: readonly string[],
  aggregate: string,
): Promise<ClientHistory> {
  const history = new ClientHistory(aggregate, files.length === 1 ? "order" : "time");
  for (const [i, file] of files.entries()) {
    const source = files.length === 1 ? "" : `${i + 1}:`;
    let number = 0;
    for await (const entry of readClientEntries(file)) {
      number++;
      try {
        history.take(entry, source);
      } catch (error) {
        throw new Error(`${file}, entry ${number}: ${messageOf(error)}`, { cause: error });
      }
    }
  }
  return history;
}

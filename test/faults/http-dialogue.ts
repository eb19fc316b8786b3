import type { Dialogue, Request } from "./link.ts";

/**
 * As much of HTTP/1.1 as faults need, of clients that wait for an answer before they ask again on a connection, as
 * all of ours do: then bytes after an answer, which begin as a request does, are the next request.
 */
export function httpDialogue(): Dialogue {
  let id = 0;
  let isAnswered = true;
  let name = "";
  return {
    requests(data): readonly Request[] {
      const method = /^([A-Z]{3,7}) \S/.exec(data.toString("latin1", 0, 16))?.[1];
      if (isAnswered && method !== undefined) {
        id++;
        name = method;
        isAnswered = false;
      }
      return [{ id, name, bytes: data }];
    },
    answers(data) {
      isAnswered = true;
      return [{ id, bytes: data }];
    },
  };
}

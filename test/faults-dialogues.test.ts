import { describe, expect, test } from "vitest";
import { randomFrom } from "../engine/testing/jumping-clock.ts";
import { framesBy } from "./faults/frames.ts";
import { httpDialogue } from "./faults/http-dialogue.ts";
import type { Dialogue } from "./faults/link.ts";
import { postgresDialogue } from "./faults/postgres-dialogue.ts";

describe("Frames", () => {
  test("come out whole, however the stream is cut", () => {
    const seed = Number(process.env["SEED"] ?? 20_261_121);
    const random = randomFrom(seed);
    for (let round = 0; round < 300; round++) {
      const sizes = Array.from({ length: 8 }, () => Math.floor(random() * 40));
      const all = sizes.map((size, i) => {
        const bytes = Buffer.alloc(4 + size, i + 1);
        bytes.writeInt32BE(size, 0);
        return bytes;
      });
      const stream = Buffer.concat(all);
      const cut = framesBy(4, (head) => 4 + head.readInt32BE(0));
      const found: Buffer[] = [];
      for (let at = 0; at < stream.length;) {
        const to = at + 1 + Math.floor(random() * 60);
        found.push(...cut(stream.subarray(at, to)));
        at = to;
      }
      expect(found, `SEED=${seed}, round ${round}`).toEqual(all);
    }
  });
});

/** A message of Postgres: its type, its length, its text. */
function message(type: string, text = ""): Buffer {
  const bytes = Buffer.alloc(5 + text.length);
  bytes.write(type, 0);
  bytes.writeInt32BE(4 + text.length, 1);
  bytes.write(text, 5, "latin1");
  return bytes;
}

function startup(code: number, text = ""): Buffer {
  const bytes = Buffer.alloc(8 + text.length);
  bytes.writeInt32BE(bytes.length, 0);
  bytes.writeInt32BE(code, 4);
  bytes.write(text, 8);
  return bytes;
}

const version3 = 196_608;
const sslRequest = 80_877_103;

function inClear(): Dialogue {
  const dialogue = postgresDialogue();
  dialogue.requests(startup(version3, "user\0me\0\0"));
  dialogue.answers(message("Z", "I"));
  return dialogue;
}

const names = (dialogue: Dialogue, ...messages: Buffer[]) =>
  dialogue.requests(Buffer.concat(messages)).map(({ name }) => name);

describe("Of Postgres' requests", () => {
  test.each([
    ["begin isolation level read committed read write", "BEGIN"],
    ["start transaction", "BEGIN"],
    ["COMMIT", "COMMIT"],
    ["update t set x = 1; commit", "COMMIT"],
    ["end", "COMMIT"],
    ["rollback", "ROLLBACK"],
    ["select 'commit'", "QUERY"],
    ["insert into commits values (1)", "QUERY"],
  ])("%j is a %s, asked simply or prepared", (text, name) => {
    expect(names(inClear(), message("Q", `${text}\0`))).toEqual([name]);
    const extended = inClear();
    const [parse, bind] = [message("P", `s\0${text}\0\0\0`), message("B", "p\0s\0\0\0\0\0\0\0")];
    const execute = message("E", "p\0\0\0\0\0");
    expect(names(extended, parse, bind, execute, message("S"))).toEqual([name]);
    expect(names(extended, bind, execute, message("S"))).toEqual([name]); // It is known by its name.
  });

  test("those up to a Sync are one, whole", () => {
    const dialogue = inClear();
    const parts = [message("P", "\0commit\0\0\0"), message("B", "\0\0\0\0\0\0\0\0")];
    expect(dialogue.requests(Buffer.concat(parts))).toEqual([]);
    const rest = [message("E", "\0\0\0\0\0"), message("S")];
    const [request] = dialogue.requests(Buffer.concat(rest));
    expect(request?.bytes).toEqual(Buffer.concat([...parts, ...rest]));
    expect(request?.name).toBe("COMMIT");
  });

  test("answers belong to the first that is not answered, and end when the server is ready", () => {
    const dialogue = inClear();
    const asked = dialogue.requests(
      Buffer.concat([message("Q", "select 1\0"), message("Q", "commit\0")]),
    );
    const answer = [
      [message("D", "row"), message("C", "SELECT 1"), message("Z", "T")],
      [message("C", "COMMIT"), message("Z", "I")],
    ].map((parts) => Buffer.concat(parts));
    expect(dialogue.answers(Buffer.concat(answer))).toEqual(
      asked.map(({ id }, i) => ({ id, bytes: answer[i] })),
    );
    expect(dialogue.answers(message("N", "a notice"))[0]?.id).not.toBe(asked[1]?.id);
  });

  test("a password is part of the start, and TLS is asked about before it", () => {
    const dialogue = postgresDialogue();
    expect(dialogue.requests(startup(sslRequest))).toMatchObject([{ name: "" }]);
    expect(dialogue.answers(Buffer.from("N"))).toMatchObject([{ bytes: Buffer.from("N") }]);
    const [start] = dialogue.requests(startup(version3, "user\0me\0\0"));
    expect(start?.name).toBe("STARTUP");
    const [password] = dialogue.requests(message("p", "secret\0"));
    expect(password?.id).toBe(start?.id);
    expect(dialogue.answers(message("R", "\0\0\0\0"))[0]?.id).toBe(start?.id);
    dialogue.answers(message("Z", "I"));
    expect(names(dialogue, message("Q", "commit\0"))).toEqual(["COMMIT"]);
  });

  test("nothing is told apart behind TLS, and everything passes", () => {
    const dialogue = postgresDialogue();
    dialogue.requests(startup(sslRequest));
    dialogue.answers(Buffer.from("S"));
    const sealed = Buffer.from([22, 3, 1, 0, 5]);
    expect(dialogue.requests(sealed)).toMatchObject([{ name: "", bytes: sealed }]);
  });
});

describe("Of HTTP's requests", () => {
  test("one goes on until it is answered, whatever its body says", () => {
    const dialogue = httpDialogue();
    const [head] = dialogue.requests(Buffer.from("POST /commands HTTP/1.1\r\n\r\n"));
    const [body] = dialogue.requests(Buffer.from("GET /nothing"));
    expect(head).toMatchObject({ name: "POST" });
    expect(body).toMatchObject({ id: head?.id, name: "POST" });
    expect(dialogue.answers(Buffer.from("HTTP/1.1 200 OK\r\n\r\n"))[0]?.id).toBe(head?.id);
    const [next] = dialogue.requests(Buffer.from("GET /views HTTP/1.1\r\n\r\n"));
    expect(next).toMatchObject({ name: "GET" });
    expect(next?.id).not.toBe(head?.id);
  });
});

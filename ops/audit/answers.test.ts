import { describe, expect, test } from "vitest";
import type { Reply } from "../../engine/generated.ts";
import { headers } from "../../engine/message.ts";
import { Window } from "./answers.ts";
import type { AuditRecord } from "./audited-log.ts";
import type { HandledCommand } from "./handled-commands.ts";
import type { Handling, SeenReply } from "./handling.ts";

const day = 24 * 60 * 60 * 1000;
const start = Date.UTC(2026, 0, 1);

function replyAt(timestamp: number, said: Readonly<Record<string, string>> = {}): SeenReply {
  const record: AuditRecord = {
    offset: 0n,
    timestamp,
    key: null,
    value: null,
    headers: Object.entries(said).map(([name, value]) => [name, Buffer.from(value)]),
    writer: "1/0",
  };
  return { record, commandOffset: 0, reply: {} as Reply };
}

const again = (commandOffset: number, timestamp: number): Handling => ({
  commandOffset,
  command: null,
  events: [],
  reply: replyAt(timestamp),
  deadLetter: null,
});

const before: HandledCommand = {
  commandOffset: 10,
  replyOffset: 100,
  sentAt: start,
  issuedAt: Number.NaN,
  version: 1,
  answer: 1,
};

describe("a command id without an issue time", () => {
  const now = { handling: again(20, start + 1_000), issuedAt: null };

  test("may not run again while it is remembered", () => {
    const window = new Window();
    expect(window.mayRunAgain(before, now)).toBe(false);
    window.follow(replyAt(start, { [headers.oldestReply]: "100" }));
    expect(window.mayRunAgain(before, now)).toBe(false);
  });

  test("may run again once the replies say that it was forgotten", () => {
    const window = new Window();
    window.follow(replyAt(start, { [headers.oldestReply]: "101" }));
    expect(window.mayRunAgain(before, now)).toBe(true);
  });

  test("may run again after seven days", () => {
    const window = new Window();
    const later = { handling: again(20, start + 7 * day + 1), issuedAt: null };
    expect(window.mayRunAgain(before, later)).toBe(true);
    const earlier = { handling: again(20, start + 6 * day), issuedAt: null };
    expect(window.mayRunAgain(before, earlier)).toBe(false);
  });

  test("may run again after 100,000 others, where its own reply has expired", () => {
    const window = new Window();
    const unreplied = { ...before, replyOffset: -1 };
    const at = (offset: number) => ({ handling: again(offset, start + 1_000), issuedAt: null });
    expect(window.mayRunAgain(unreplied, at(100_010))).toBe(false);
    expect(window.mayRunAgain(unreplied, at(100_011))).toBe(true);
  });
});

describe("a command id with an issue time", () => {
  const issued = { ...before, issuedAt: start };

  test("never runs again, however long ago and whatever was forgotten", () => {
    const window = new Window();
    window.follow(replyAt(start, { [headers.oldestReply]: "1000" }));
    const now = { handling: again(900_000, start + 400 * day), issuedAt: start };
    expect(window.mayRunAgain(issued, now)).toBe(false);
  });

  test("is refused up to the horizon, which never goes back", () => {
    const window = new Window();
    expect(window.hasForgotten(start)).toBe(false);
    window.follow(replyAt(start, { [headers.horizon]: String(start) }));
    window.follow(replyAt(start, { [headers.horizon]: String(start - 1) }));
    expect(window.hasForgotten(start)).toBe(true);
    expect(window.hasForgotten(start + 1)).toBe(false);
    expect(window.hasForgotten(null)).toBe(false);
  });
});

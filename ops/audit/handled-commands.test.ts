import { expect, test } from "vitest";
import { digestOf, type HandledCommand, HandledCommands } from "./handled-commands.ts";

const command = (commandOffset: number): HandledCommand => ({
  commandOffset,
  replyOffset: -1,
  sentAt: 1_700_000_000_000,
  issuedAt: Number.NaN,
  version: 2 ** 53 - 1,
  answer: digestOf(["accepted", commandOffset]),
});

test("every command is found again as it was noted, and no other one", () => {
  const handled = new HandledCommands();
  for (let i = 0; i < 30_000; i++) handled.set(`a${i % 100}`, `c${i}`, command(i));
  expect(handled.size).toBe(30_000);
  for (let i = 0; i < 30_000; i += 7) {
    expect(handled.get(`a${i % 100}`, `c${i}`)).toEqual(command(i));
    expect(handled.get(`a${(i + 1) % 100}`, `c${i}`)).toBeNull();
  }
});

test("a command noted again is the same one with what was noted last", () => {
  const handled = new HandledCommands();
  handled.set("a", "c", command(1));
  handled.set("a", "c", command(2));
  expect(handled.size).toBe(1);
  expect(handled.get("a", "c")?.commandOffset).toBe(2);
});

test("ids that read the same one after the other are told apart", () => {
  const handled = new HandledCommands();
  handled.set("a", "bc", command(1));
  handled.set("ab", "c", command(2));
  expect(handled.get("a", "bc")?.commandOffset).toBe(1);
  expect(handled.get("ab", "c")?.commandOffset).toBe(2);
});

test("an answer's digest is never that of no answer", () => {
  expect(digestOf([])).toBeGreaterThan(0);
  expect(digestOf(["accepted", 1])).not.toBe(digestOf(["accepted", 2]));
});

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readClientHistory } from "./read-clients.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "foldlog-clients-"));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const about = { process: "p", aggregate: "account", aggregateId: "a", f: "command" };
const result = {
  ...{ outcome: "accepted", version: 1, commandOffset: "7", partition: 0 },
  ...{ reason: null, duplicate: false },
};

function file(name: string, ...entries: readonly (object | string)[]): string {
  const path = join(folder, name);
  const lines = entries.map((it) => (typeof it === "string" ? it : JSON.stringify(it)));
  writeFileSync(path, lines.map((line) => `${line}\n`).join(""));
  return path;
}

test("a history is read, each command with what it was told", async () => {
  const path = file(
    "one.jsonl",
    { ...about, t: 10, type: "invoke", commandId: "c", expectedVersion: null },
    { ...about, t: 11, type: "ok", commandId: "c", result, token: "t" },
    { ...about, t: 12, f: "query", type: "invoke", token: "t" },
    { ...about, t: 13, f: "query", type: "ok", token: "t", version: 1 },
    { t: 14, process: "p", aggregate: "account", f: "poison", type: "invoke", id: "x" },
    {
      t: 15,
      process: "p",
      aggregate: "account",
      f: "poison",
      type: "ok",
      id: "x",
      code: "TOO_DEEP",
    },
  );
  const history = await readClientHistory([path], "account");
  const aggregate = history.aggregates.get("a");
  expect(aggregate?.commands.get("c")).toMatchObject({
    ...{ invokedAt: 0, answeredAt: 1, sent: 1, failed: 0 },
    told: [{ who: "p", result, token: "t" }],
  });
  expect(aggregate?.reads).toMatchObject([{ version: 1, answeredAt: 3, token: "t" }]);
  expect(history.poison.get("x")).toMatchObject({ isCertain: true, isRefuted: false });
});

test("several histories are put together by their clock, and clients of one name are others in each", async () => {
  const sent = { ...about, type: "invoke", commandId: "c", expectedVersion: null };
  const told = { ...about, type: "ok", commandId: "c", result };
  const first = file("first.jsonl", { ...sent, t: 10 }, { ...told, t: 20 });
  const second = file("second.jsonl", { ...sent, t: 5 }, { ...told, t: 30 });
  const history = await readClientHistory([first, second], "account");
  expect(history.find("a", "c")).toMatchObject({ invokedAt: 10, answeredAt: 20, sent: 2 });
});

const invoke = { ...about, t: 1, type: "invoke", commandId: "c", expectedVersion: null };

test.each([
  [
    "an answer without an outcome",
    [invoke, { ...about, t: 2, type: "ok", commandId: "c" }],
    /line 2.*result\.outcome/,
  ],
  ["a time that is none", [{ ...invoke, t: "now" }], /line 1.*t is not/],
  ["a type that is none", [{ ...invoke, type: "begin" }], /line 1.*type is not one of/],
  ["something else done", [{ ...invoke, f: "scan" }], /line 1.*f is not one of/],
  ["a read without a token", [{ ...invoke, f: "query" }], /line 1.*token is neither/],
  ["an end without a beginning", [{ ...invoke, type: "info" }], /entry 1.*has not begun/],
  ["two things at once", [invoke, invoke], /entry 2.*begins before it has ended/],
  [
    "the end of something else",
    [invoke, { ...invoke, type: "info", commandId: "d" }],
    /entry 2.*has not begun/,
  ],
  ["another aggregate", [{ ...invoke, aggregate: "transfer" }], /entry 1.*about "transfer"/],
] as const)("a history with %s is refused, with the place", async (_, entries, message) => {
  await expect(readClientHistory([file("bad.jsonl", ...entries)], "account")).rejects.toThrow(
    message,
  );
});

test("a file that is not there is named", async () => {
  const missing = join(folder, "missing.jsonl");
  await expect(readClientHistory([missing], "account")).rejects.toThrow(
    /missing\.jsonl cannot be read/,
  );
});

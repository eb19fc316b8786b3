import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { FatalError, TransientError, WriterLostError } from "../errors.ts";
import type { LogRecord } from "../log.ts";
import type { Batch } from "../read-ahead.ts";
import { CrashBreaker, suspicionOf } from "./crash-breaker.ts";
import { fileNotes, type Note } from "./note.ts";

const folder = mkdtempSync(join(tmpdir(), "foldlog-notes-"));
afterAll(() => {
  rmSync(folder, { recursive: true });
});
let opened = 0;
const openNote = (name = `commands/${opened++}`): Note => fileNotes(folder)(name);

const clusterId = "cluster";
const record = (offset: number, timestamp = 1_000 + offset): LogRecord => ({
  offset: BigInt(offset),
  timestamp,
  key: null,
  value: Buffer.from([0, 0, 0, 0, 7, 1]),
  headers: [],
});
const batchOf = (...offsets: number[]): Batch => ({
  records: offsets.map((offset) => record(offset)),
  next: BigInt((offsets.at(-1) ?? 0) + 1),
});
const offsetsOf = (batches: readonly Batch[]) =>
  batches.map(({ records }) => records.map(({ offset }) => Number(offset)));

/** A process that begins to handle a batch, and is gone. */
function die(note: Note, batch: Batch, resume = 0): void {
  const breaker = new CrashBreaker(note, { clusterId, resume: BigInt(resume) });
  const killed = new Error("SIGKILL");
  expect(() => {
    breaker.surviving(batch, 5_000, () => {
      throw killed;
    });
  }).toThrow(killed);
}
const start = (note: Note, resume = 0) =>
  new CrashBreaker(note, { clusterId, resume: BigInt(resume) });

test("a process that starts for the first time suspects nobody", () => {
  const breaker = start(openNote());
  expect(breaker.suspicion).toBeNull();
  expect(offsetsOf(breaker.portions(batchOf(0, 1, 2)))).toEqual([[0, 1, 2]]);
});

test("what was handled when the process died is taken one by one, and what follows it together", () => {
  const note = openNote();
  die(note, batchOf(0, 1, 3));
  const breaker = start(note);
  expect(offsetsOf(breaker.portions(batchOf(0, 1, 3, 4, 5)))).toEqual([[0], [1], [3], [4, 5]]);
  expect(breaker.portions(batchOf(0, 1, 3, 4, 5)).map(({ next }) => next)).toEqual([
    1n,
    3n,
    4n,
    6n,
  ]);
  expect(offsetsOf(breaker.portions(batchOf(4, 5)))).toEqual([[4, 5]]);
});

test("a command is condemned when a second process has died while it handled it alone", () => {
  const note = openNote();
  for (const deaths of [0, 1]) {
    expect(start(note).condemned(record(4)), `after ${deaths}`).toBeNull();
    die(note, batchOf(4));
  }
  const poison = start(note).condemned(record(4));
  expect(poison).toMatchObject({
    code: "CRASHED_WORKER",
    commandId: null,
    attempts: 2,
    schemaId: 7,
  });
  expect(poison?.message).toContain("1970-01-01T00:00:05.000Z and 1970-01-01T00:00:05.000Z");
  expect(start(note).condemned(record(5))).toBeNull();
});

test("deaths in the company of others condemn nobody, however many", () => {
  const note = openNote();
  for (let death = 0; death < 5; death++) die(note, batchOf(4, 5));
  expect(start(note).condemned(record(4))).toBeNull();
});

test("a process that survives the handling blames nobody, wherever it dies then", () => {
  const note = openNote();
  for (let death = 0; death < 5; death++) {
    const breaker = start(note);
    breaker.surviving(batchOf(4), 5_000, () => undefined); // And dies while it waits for the broker.
  }
  expect(start(note).suspicion).toBeNull();
});

test("a command that was survived after one death begins anew", () => {
  const note = openNote();
  die(note, batchOf(4));
  start(note).surviving(batchOf(4), 5_000, () => undefined);
  die(note, batchOf(4));
  expect(start(note).condemned(record(4))).toBeNull();
});

test("the others stay suspect while one after the other turns out to be good", () => {
  const note = openNote();
  die(note, batchOf(0, 1, 2, 3));
  start(note).surviving(batchOf(0), 5_000, () => undefined);
  const killedMeanwhile = start(note, 1);
  expect(offsetsOf(killedMeanwhile.portions(batchOf(1, 2, 3, 4)))).toEqual([[1], [2], [3], [4]]);
  die(note, batchOf(2), 2);
  expect(start(note, 2).suspicion).toMatchObject({ until: 4n, accused: { offset: 2n } });
});

test("what the log has consumed meanwhile is suspected no more", () => {
  const note = openNote();
  die(note, batchOf(4, 5, 6));
  expect(start(note, 6).suspicion?.until).toBe(7n);
  expect(start(note, 7).suspicion).toBeNull();
});

test("a command at the same offset of another log is not the one that killed", () => {
  const note = openNote();
  die(note, batchOf(4));
  die(note, batchOf(4));
  expect(suspicionOf(note.read(), "another cluster", 0n)).toBeNull();
  expect(start(note).condemned(record(4, 9))).toBeNull();
});

test.each([
  new TransientError("The disk is full"),
  new WriterLostError("fenced", "Another has the store"),
  new FatalError("BROKEN_INVARIANT", "No"),
])("an error by which the engine says what to do is no death: $name", (error) => {
  const note = openNote();
  expect(() => {
    start(note).surviving(batchOf(4), 5_000, () => {
      throw error;
    });
  }).toThrow(error);
  expect(start(note).suspicion).toBeNull();
});

test("a note outlives its process, and a short one leaves nothing of a long one", () => {
  const first = openNote("commands/outlives");
  first.write("x".repeat(400));
  first.write("short");
  first.close();
  expect(openNote("commands/outlives").read()).toBe("short");
});

test.each(["", "torn{", "{}", '{"format":2}', "\0".repeat(512)])(
  "a note that says nothing (%j) accuses nobody",
  (text) => {
    const name = `commands/${opened++}`;
    openNote(name).close();
    writeFileSync(join(folder, name, "attempt.json"), text);
    expect(start(openNote(name)).suspicion).toBeNull();
  },
);

test("a folder that cannot be written is something that time may cure", () => {
  writeFileSync(join(folder, "in-the-way"), "");
  expect(() => openNote("in-the-way/0")).toThrow(TransientError);
});

import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../engine/clock.ts";
import { openPostgresViews } from "../../engine/postgres/postgres-views.ts";
import type { Database } from "../../engine/postgres/postgres.ts";
import { commandStatus } from "../../engine/projections/command-status.ts";
import { collect } from "../../engine/projections/rows.ts";
import type { Views } from "../../engine/projections/views.ts";
import { bankTopics } from "../bank.ts";
import { freshDatabase, type FreshDatabase } from "./fresh-database.ts";

const topics = bankTopics("bank");
const projection = commandStatus([topics]);
const topicPartition = { topic: topics.replies.name, partition: 0 };
const { signal } = new AbortController();
const before = new Date("2020-01-15T00:00:00.000Z");
const old = new Date("2020-01-14T23:59:59.999Z");

let database: FreshDatabase;
let admin: Database;
let views: Views;

beforeAll(async () => {
  database = await freshDatabase();
  await database.prepare([projection]);
  admin = database.open(database.superuserUrl);
  const url = database.urlOf("projector_command_status");
  const waiting = (error: Error) => {
    throw error;
  };
  views = await openPostgresViews({ url, projection, clock: systemClock, waiting }, signal);
});

beforeEach(async () => {
  await admin.query("truncate projection_command_status.command_status_v1, foldlog.checkpoints");
});

afterAll(async () => {
  await views.close();
  await database.drop();
});

/** The answers to these commands, as a batch that a projector commits. */
async function commit(
  ...replies: readonly { readonly id: string; readonly time: Date; readonly failed?: string }[]
): Promise<void> {
  const collector = collect(projection);
  const expected = await views.checkpoint(topicPartition, signal);
  const from = Number(expected?.nextOffset ?? 0n);
  replies.forEach(({ id, time, failed }, i) => {
    const offset = from + i;
    const data = {
      commandId: id,
      commandType: "OpenAccount",
      aggregateId: "a",
      commandOffset: offset,
      firstOffset: offset,
      outcome: failed === undefined ? "accepted" : "failed",
      version: failed === undefined ? 1 : null,
      reason: failed ?? null,
      duplicate: false,
      payloadHash: null,
      issuedAt: null,
    };
    collector.apply({ type: "Reply", data, ...topicPartition, offset, key: id, time });
  });
  const version = replies.at(-1)?.failed === undefined ? 1 : null;
  const nextOffset = BigInt(from + replies.length);
  const next = { nextOffset, commandOffset: nextOffset - 1n, version };
  await views.commit({ topicPartition, expected, next, changes: collector.changes() }, signal);
}

async function keys(): Promise<readonly unknown[]> {
  const { rows } = await admin.query("select reply_key from command_status order by 1");
  return rows.map((row) => row["reply_key"]);
}

const expire = async (most = 100) =>
  views.expire({ table: "command_status", since: "seen_at", before, most }, signal);

test("old rows are deleted by the projector's own role, so many at once, and young ones stay", async () => {
  await commit(...["a", "b", "c"].map((id) => ({ id, time: old })), { id: "young", time: before });
  expect(await expire(2)).toBe(2);
  expect(await expire(2)).toBe(1);
  expect(await expire(2)).toBe(0);
  expect(await keys()).toEqual(["young"]);
});

test("a row that has been seen again is young", async () => {
  await commit({ id: "a", time: old }, { id: "b", time: old });
  await commit({ id: "a", time: before });
  expect(await expire()).toBe(1);
  expect(await keys()).toEqual(["a"]);
});

test("a row that a batch has in hand is left to it", async () => {
  await commit({ id: "a", time: old });
  await admin.transaction("read write", async (session) => {
    await session.query("update projection_command_status.command_status_v1 set seen_at = now()");
    expect(await expire()).toBe(0);
  });
  expect(await expire()).toBe(0);
  expect(await keys()).toEqual(["a"]);
});

test("a reply to a command whose row was deleted makes the row anew", async () => {
  await commit({ id: "a", time: old });
  await expire();
  await commit({ id: "a", time: before, failed: "EXPIRED" });
  const { rows } = await admin.query("select outcome, failure from command_status");
  expect(rows).toEqual([{ outcome: null, failure: "EXPIRED" }]);
});

test("a checkpoint after a reply names the command, and a version only where the reply does", async () => {
  const at = async () => views.checkpoint(topicPartition, signal);
  await commit({ id: "a", time: before });
  expect(await at()).toEqual({ nextOffset: 1n, commandOffset: 0n, version: 1 });
  await commit({ id: "b", time: before, failed: "TRUNCATED" });
  expect(await at()).toEqual({ nextOffset: 2n, commandOffset: 1n, version: null });
});

import { expect, test } from "vitest";
import { bankTopics } from "../../test/bank.ts";
import { tablesAfter } from "../testing/apply.ts";
import { eventIndex } from "./event-index.ts";

const projection = eventIndex([bankTopics("bank")]);
const time = new Date("2020-01-01T00:00:00.000Z");
const happened = { type: "AccountClosed", data: {} };

test("each event is found by aggregate, id and version, at its place in the log", async () => {
  const events = [
    { ...happened, aggregateId: "a/1", partition: 3, offset: 40 },
    { ...happened, aggregateId: "__proto__", partition: 2, offset: 41 },
    { ...happened, aggregateId: "a/1", partition: 3, offset: 43 },
  ];
  expect((await tablesAfter(projection, events)).event_index).toEqual([
    { key: ["account", "__proto__", 1], partition: 2, log_offset: 41, time },
    { key: ["account", "a/1", 1], partition: 3, log_offset: 40, time },
    { key: ["account", "a/1", 2], partition: 3, log_offset: 43, time },
  ]);
});

test("a version that comes twice is a broken log, not a correction", async () => {
  const twice = [
    { ...happened, version: 1, offset: 1 },
    { ...happened, version: 1, offset: 2 },
  ];
  await expect(tablesAfter(projection, twice)).rejects.toThrow("is there already");
});

test("an id that Postgres cannot hold is left out, and no other suffers", async () => {
  const events = [
    { ...happened, aggregateId: "a\0" },
    { ...happened, aggregateId: "b" },
  ];
  expect((await tablesAfter(projection, events)).event_index).toHaveLength(1);
});

test("two aggregates of one name would share their rows, and are refused", () => {
  expect(() => eventIndex([bankTopics("one"), bankTopics("two")])).toThrow("differ in name");
});

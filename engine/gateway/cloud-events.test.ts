import { expect, test } from "vitest";
import { bankTopics } from "../../test/bank.ts";
import type { LogRecord } from "../log.ts";
import { cloudEventOf } from "./cloud-events.ts";

const topics = bankTopics("bank");
const record: LogRecord = {
  offset: 5n,
  timestamp: Date.UTC(2026, 0, 31, 12),
  key: Buffer.from("é/1/7"),
  value: Buffer.from([0, 0, 0, 0, 3, 1]),
  headers: [
    ["command-id", Buffer.from("c-1")],
    ["command-offset", Buffer.from("9")],
    ["correlation-id", Buffer.from("k-1")],
  ],
};

function attributes(of: LogRecord): Readonly<Record<string, string>> {
  const event = cloudEventOf(topics, "FundsDeposited", of);
  return Object.fromEntries((event?.headers ?? []).map(([name, value]) => [name, String(value)]));
}

test("an event says in the words of CloudEvents what it says in its key, its time and our headers", () => {
  expect(attributes(record)).toStrictEqual({
    ce_specversion: "1.0",
    ce_id: "é/1/7",
    ce_source: "/bank/account",
    ce_type: "bank.account.FundsDeposited",
    ce_subject: "é/1",
    ce_partitionkey: "é/1",
    ce_sequence: "0000000000000007",
    ce_time: "2026-01-31T12:00:00.000Z",
    ce_correlationid: "k-1",
    ce_causationid: "c-1",
    ce_commandid: "c-1",
    "content-type": "application/avro",
  });
});

test("the key and the value are the record's own", () => {
  const event = cloudEventOf(topics, "FundsDeposited", record);
  expect(event?.key).toBe(record.key);
  expect(event?.value).toBe(record.value);
});

test("attributes have names that CloudEvents allows", () => {
  const names = Object.keys(attributes(record)).filter((name) => name !== "content-type");
  for (const name of names) expect(name).toMatch(/^ce_[a-z0-9]{1,20}$/);
});

test("what is no event of the aggregate is none of CloudEvents either", () => {
  expect(cloudEventOf(topics, "Foreign", record)).toBe(null);
  expect(cloudEventOf(topics, "FundsDeposited", { ...record, key: null })).toBe(null);
  expect(cloudEventOf(topics, "FundsDeposited", { ...record, key: Buffer.from("a") })).toBe(null);
});

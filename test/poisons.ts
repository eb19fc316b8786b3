import { randomBytes } from "node:crypto";
import type { Codec } from "../engine/codec.ts";
import type { PoisonCode } from "../engine/errors.ts";
import type { OutRecord } from "../engine/log.ts";
import type { AggregateTopics } from "../engine/topic.ts";
import { commandRecord } from "./bank.ts";

/** Every kind of command record that can never be processed, as some client somewhere will send it. */

export interface Poison {
  readonly what: string;
  readonly code: PoisonCode;
  /** What could be read of it, and so is in the reply. */
  readonly commandId: string | null;
  readonly record: (bank: { topics: AggregateTopics; codec: Codec }) => OutRecord;
}

type Bank = Parameters<Poison["record"]>[0];

const deposit = (bank: Bank, more: Record<string, unknown> = {}) =>
  commandRecord(bank, "DepositFunds", { commandId: "id", accountId: "a", amountCents: 7, ...more });

/** The value with its Avro part replaced; the schema id stays. */
const withBody = (bank: Bank, body: (avro: Buffer) => Buffer): OutRecord => {
  const record = deposit(bank);
  const value = record.value as Buffer;
  return { ...record, value: Buffer.concat([value.subarray(0, 5), body(value.subarray(5))]) };
};

/** Avro's zigzag varint of a long that JavaScript cannot hold exactly. */
function varint(long: bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, (long << 1n) ^ (long >> 63n));
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(rest)]);
}

/** The deposit's bytes with another amount: it stands before the last byte, the null of the reference. */
const withAmount = (amount: bigint) => (bank: Bank) =>
  withBody(bank, (avro) =>
    Buffer.concat([avro.subarray(0, -2), varint(amount), avro.subarray(-1)]),
  );

/** The record with U+0000 for U+0001 in this text: our own codec writes none, others do. */
function withNullIn(record: OutRecord, text: string): OutRecord {
  const value = Buffer.from(record.value ?? []);
  value[value.indexOf(text) + text.indexOf("\u0001")] = 0;
  const key = typeof record.key === "string" ? record.key.replace("\u0001", "\0") : record.key;
  return { ...record, key, value };
}

const valueOf = (value: Buffer | null) => (bank: Bank) => ({ ...deposit(bank), value });

export const poisons: readonly Poison[] = [
  { what: "no value", code: "BAD_WIRE_FORMAT", commandId: null, record: valueOf(null) },
  {
    what: "empty bytes",
    code: "BAD_WIRE_FORMAT",
    commandId: null,
    record: valueOf(Buffer.alloc(0)),
  },
  {
    what: "four bytes",
    code: "BAD_WIRE_FORMAT",
    commandId: null,
    record: valueOf(Buffer.alloc(4)),
  },
  {
    what: "the wrong magic byte",
    code: "BAD_WIRE_FORMAT",
    commandId: null,
    record: (bank) => {
      const record = deposit(bank);
      const value = Buffer.from(record.value as Buffer);
      value[0] = 1;
      return { ...record, value };
    },
  },
  {
    what: "JSON instead of Avro",
    code: "BAD_WIRE_FORMAT",
    commandId: null,
    record: valueOf(Buffer.from(`{"type":"DepositFunds"}`)),
  },
  {
    what: "an unknown schema id",
    code: "UNKNOWN_SCHEMA",
    commandId: null,
    record: valueOf(Buffer.from([0, 0x7f, 0xff, 0xff, 0xff, 1, 2, 3])),
  },
  {
    what: "truncated bytes",
    code: "TRUNCATED",
    commandId: null,
    record: (bank) => withBody(bank, (avro) => avro.subarray(0, -1)),
  },
  {
    what: "trailing bytes",
    code: "TRAILING_BYTES",
    commandId: null,
    record: (bank) => withBody(bank, (avro) => Buffer.concat([avro, Buffer.from([0])])),
  },
  {
    what: "a string longer than the record",
    code: "TRUNCATED",
    commandId: null,
    record: (bank) => withBody(bank, () => Buffer.concat([varint(1n << 40n), Buffer.alloc(8)])),
  },
  {
    what: "invalid UTF-8",
    code: "INVALID_UTF8",
    commandId: null,
    record: (bank) =>
      withBody(bank, (avro) =>
        Buffer.concat([avro.subarray(0, 1), Buffer.from([0xff, 0xfe]), avro.subarray(3)]),
      ),
  },
  {
    what: "random bytes",
    code: "TRUNCATED",
    commandId: null,
    record: (bank) => withBody(bank, () => Buffer.concat([Buffer.from([0x7e]), randomBytes(8)])),
  },
  {
    what: "a record type foreign to the topic",
    code: "FOREIGN_RECORD_TYPE",
    commandId: null,
    record: (bank) => {
      const value = bank.codec.encode(bank.topics.events, "AccountOpened", { owner: "Ada" });
      return { ...deposit(bank), value: Buffer.from(value) };
    },
  },
  {
    what: "an amount of 2^53",
    code: "LONG_OUT_OF_RANGE",
    commandId: null,
    record: withAmount(2n ** 53n),
  },
  {
    what: "an amount of 2^63 − 1",
    code: "LONG_OUT_OF_RANGE",
    commandId: null,
    record: withAmount(2n ** 63n - 1n),
  },
  {
    what: "a null key",
    code: "NULL_KEY",
    commandId: null,
    record: (bank) => ({ ...deposit(bank), key: null }),
  },
  {
    what: "a key that differs from the aggregate id",
    code: "KEY_MISMATCH",
    commandId: "id",
    record: (bank) => ({ ...deposit(bank), key: "b" }),
  },
  {
    what: "a key that is no UTF-8",
    code: "INVALID_AGGREGATE_ID",
    commandId: null,
    record: (bank) => ({ ...deposit(bank), key: Buffer.from([0xc3, 0x28]) }),
  },
  {
    what: "an account id of no characters",
    code: "INVALID_AGGREGATE_ID",
    commandId: null,
    record: (bank) => deposit(bank, { accountId: "" }),
  },
  {
    what: "an account id of 10,000 characters",
    code: "INVALID_AGGREGATE_ID",
    commandId: null,
    record: (bank) => deposit(bank, { accountId: "x".repeat(10_000) }),
  },
  {
    what: "a command id of no characters",
    code: "INVALID_COMMAND_ID",
    commandId: null,
    record: (bank) => deposit(bank, { commandId: "" }),
  },
  {
    what: "a command id of 10,000 characters",
    code: "INVALID_COMMAND_ID",
    commandId: null,
    record: (bank) => deposit(bank, { commandId: "x".repeat(10_000) }),
  },
  {
    what: "an account id with U+0000",
    code: "INVALID_AGGREGATE_ID",
    commandId: null,
    record: (bank) => withNullIn(deposit(bank, { accountId: "nu\u0001l" }), "nu\u0001l"),
  },
  {
    what: "a text with U+0000, which no view could hold",
    code: "INVALID_EVENT",
    commandId: "id",
    record: (bank) => {
      const owner = "A\u0001a";
      const opening = { commandId: "id", accountId: "e", owner };
      return withNullIn(commandRecord(bank, "OpenAccount", opening), owner);
    },
  },
  {
    what: "a command put on the wrong partition",
    code: "WRONG_PARTITION",
    commandId: "id",
    record: (bank) => {
      const record = deposit(bank);
      return { ...record, partition: 1 - record.partition };
    },
  },
];

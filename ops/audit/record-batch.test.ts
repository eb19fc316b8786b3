import { deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import type { OutRecord } from "../../engine/log.ts";
import { encodeBatch } from "../../engine/kafka/record-batch.ts";
import { batchesOf, checksum } from "./record-batch.ts";

/** Batches as the engine writes them: two who have never seen each other's code must understand each other. */

const record = (more: Partial<OutRecord> = {}): OutRecord => ({
  topic: "t",
  partition: 0,
  key: "key",
  value: Buffer.from("value"),
  headers: [],
  timestamp: 1_700_000_000_000,
  ...more,
});
const producer = { producerId: 7n, producerEpoch: 3, baseSequence: 0, transactional: true };
const encode = (...records: OutRecord[]) => Buffer.from(encodeBatch(records, producer));

/** The batch with other bytes after its header, and a checksum that fits. */
function remade(batch: Buffer, attributes: number, body: Buffer): Buffer {
  const made = Buffer.concat([batch.subarray(0, 61), body]);
  made.writeInt32BE(made.length - 12, 8);
  made.writeInt16BE(attributes, 21);
  made.writeUInt32BE(checksum(made.subarray(21)), 17);
  return made;
}

test("the checksum is that of the standard's examples", () => {
  // RFC 3720, B.4.
  expect(checksum(Buffer.alloc(32))).toBe(0x8a9136aa);
  expect(checksum(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43);
  expect(checksum(Buffer.from(Array.from({ length: 32 }, (_, i) => i)))).toBe(0x46dd794e);
  expect(checksum(Buffer.from("123456789"))).toBe(0xe3069283);
});

test("records are read as they were written", () => {
  const sent = [
    record({
      timestamp: 1_600_000_000_000,
      headers: [
        ["h", "x"],
        ["h", null],
        ["é", ""],
      ],
    }),
    record({ key: null, value: null }),
    record({ key: "", value: Buffer.alloc(0), timestamp: 1_800_000_000_000 }),
    record({ value: Buffer.alloc(300_000, "x") }),
  ];
  const [batch, ...rest] = batchesOf(encode(...sent), "t/0");
  expect(rest).toEqual([]);
  expect(batch).toMatchObject({
    firstOffset: 0n,
    lastOffset: 3n,
    producerId: 7n,
    producerEpoch: 3,
    isTransactional: true,
    marker: null,
    recordCount: 4,
  });
  expect(
    batch
      ?.records()
      .map(({ offset, timestamp, key, value, headers }) => [
        Number(offset),
        timestamp,
        key?.toString() ?? null,
        value?.length ?? null,
        headers.map(([name, it]) => [name, it?.toString() ?? null]),
      ]),
  ).toEqual([
    [
      0,
      1_600_000_000_000,
      "key",
      5,
      [
        ["h", "x"],
        ["h", null],
        ["é", ""],
      ],
    ],
    [1, 1_700_000_000_000, null, null, []],
    [2, 1_800_000_000_000, "", 0, []],
    [3, 1_700_000_000_000, "key", 300_000, []],
  ]);
});

test("several batches are taken apart, and a piece of one is left for later", () => {
  const [one, two] = [encode(record()), encode(record(), record())];
  const read = batchesOf(Buffer.concat([one, two, two.subarray(0, two.length - 1)]), "t/0");
  expect(read.map(({ recordCount }) => recordCount)).toEqual([1, 2]);
  expect(batchesOf(one.subarray(0, 60), "t/0")).toEqual([]);
});

test.each([
  ["gzip", 1, gzipSync],
  ["zstd", 4, zstdCompressSync],
] as const)("a batch packed with %s is unpacked", (_, codec, pack) => {
  const plain = encode(record({ value: Buffer.alloc(50_000, "abc") }));
  const [batch] = batchesOf(remade(plain, 0x10 | codec, pack(plain.subarray(61))), "t/0");
  expect(batch?.records()[0]?.value?.length).toBe(50_000);
});

test.each([
  ["snappy", 2],
  ["lz4", 3],
])("a batch packed with %s is refused by its name", (name, codec) => {
  const plain = encode(record());
  const [batch] = batchesOf(remade(plain, codec, plain.subarray(61)), "t/0");
  expect(() => batch?.records()).toThrow(new RegExp(`t/0/0.*${name}`));
});

test.each([
  ["abort", 0],
  ["commit", 1],
] as const)("a control record is an %s by its type", (marker, type) => {
  const plain = encode(record({ key: Buffer.from([0, 0, 0, type]), value: Buffer.alloc(6) }));
  const [batch] = batchesOf(remade(plain, 0x30, plain.subarray(61)), "t/0");
  expect(batch).toMatchObject({ marker, producerId: 7n });
});

test("a data record whose key looks like a control record is data", () => {
  const [batch] = batchesOf(encode(record({ key: Buffer.alloc(4) })), "t/0");
  expect(batch?.marker).toBeNull();
});

test("a batch that compaction has emptied keeps its bounds", () => {
  const plain = encode(record(), record(), record());
  plain.writeInt32BE(0, 57);
  const [batch] = batchesOf(remade(plain, 0x10, Buffer.alloc(0)), "t/0");
  expect(batch).toMatchObject({ lastOffset: 2n, recordCount: 0 });
  expect(batch?.records()).toEqual([]);
});

describe("damage is never read as data:", () => {
  test("a flipped bit anywhere from the format on", () => {
    const whole = encode(record({ headers: [["h", "x"]] }), record());
    for (let bit = 16 * 8; bit < whole.length * 8; bit++) {
      const damaged = Buffer.from(whole);
      damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(() => batchesOf(damaged, "t/0"), `bit ${bit}`).toThrow(/the batch at t\/0\/0/);
    }
  });

  test("records that do not add up, although the checksum fits", () => {
    const plain = encode(record());
    for (const body of [
      plain.subarray(61, plain.length - 1),
      Buffer.concat([Buffer.from([4]), plain.subarray(62)]),
      Buffer.alloc(20, 0xff),
    ]) {
      const [batch] = batchesOf(remade(plain, 0, body), "t/0");
      expect(() => batch?.records()).toThrow(/cannot be read/);
    }
  });

  test("packed bytes that are no such thing", () => {
    const plain = encode(record());
    const [batch] = batchesOf(remade(plain, 1, deflateSync("x")), "t/0");
    expect(() => batch?.records()).toThrow(/cannot be unpacked/);
  });

  test("a length that is none", () => {
    const damaged = encode(record());
    damaged.writeInt32BE(-5, 8);
    expect(() => batchesOf(damaged, "t/0")).toThrow(/claims to be/);
  });
});

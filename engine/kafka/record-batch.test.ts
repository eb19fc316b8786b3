import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FatalError } from "../errors.ts";
import type { OutRecord } from "../log.ts";
import { crc32c } from "./crc32c.ts";
import { decodeBatches, encodeBatch, type RecordBatch, recordBytesAtMost } from "./record-batch.ts";

/** fast-check prints the seed of a failure; `SEED=…` repeats it. */
const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);

/**
 * Batches as Kafka's own code writes them (kafka-clients 4.3.1, `MemoryRecords`): offset 40, producer 77 in
 * epoch 3, sequence 9, leader epoch 5; the same three records in each codec.
 */
const java = {
  none: "AAAAAAAAACgAAABxAAAABQKL7JveABAAAAACAAABi8/laAAAAAGLz+Vp9AAAAAAAAABNAAMAAAAJAAAAAxwAAAAGa2V5CnZhbHVlADQAzw8CASZubyBrZXksIGFuZCBlYXJsaWVyACoA6AcEDmRlbGV0ZWQBBAJoAjECaAE=",
  gzip: "AAAAAAAAACgAAACEAAAABQJ2p2ZlABEAAAACAAABi8/laAAAAAGLz+Vp9AAAAAAAAABNAAMAAAAJAAAAAx+LCAAAAAAAAP+TYWBgYMtOreQqS8wpTWUwYTjPz8SolpevABTTUUjMS1FITSzKyUwtYtBieMHOwpeSmpNakprCyMKUwWTIlMEIAJFqqFZAAAAA",
  snappy:
    "AAAAAAAAACgAAACIAAAABQImTvJ2ABIAAAACAAABi8/laAAAAAGLz+Vp9AAAAAAAAABNAAMAAAAJAAAAA4JTTkFQUFkAAAAAAQAAAAEAAABDQPA/HAAAAAZrZXkKdmFsdWUANADPDwIBJm5vIGtleSwgYW5kIGVhcmxpZXIAKgDoBwQOZGVsZXRlZAEEAmgCMQJoAQ==",
  lz4: "AAAAAAAAACgAAACAAAAABQKEDl6WABMAAAACAAABi8/laAAAAAGLz+Vp9AAAAAAAAABNAAMAAAAJAAAAAwQiTRhgQIJAAACAHAAAAAZrZXkKdmFsdWUANADPDwIBJm5vIGtleSwgYW5kIGVhcmxpZXIAKgDoBwQOZGVsZXRlZAEEAmgCMQJoAQAAAAA=",
  zstd: "AAAAAAAAACgAAAB9AAAABQL1xNwCABQAAAACAAABi8/laAAAAAGLz+Vp9AAAAAAAAABNAAMAAAAJAAAAAyi1L/0AWAACABwAAAAGa2V5CnZhbHVlADQAzw8CASZubyBrZXksIGFuZCBlYXJsaWVyACoA6AcEDmRlbGV0ZWQBBAJoAjECaAEBAAA=",
  /** Appended to a topic with append time: 1,800,000,000,000. */
  appendTime:
    "AAAAAAAAACgAAABxAAAABQKLM36XABgAAAACAAABi8/laAAAAAGjGFxQAAAAAAAAAABNAAMAAAAJAAAAAxwAAAAGa2V5CnZhbHVlADQAzw8CASZubyBrZXksIGFuZCBlYXJsaWVyACoA6AcEDmRlbGV0ZWQBBAJoAjECaAE=",
  /** Three other records in ascending time, as a producer sends them: offset 0, no leader epoch. */
  ascending:
    "AAAAAAAAAAAAAABg/////wJSQWbJABAAAAACAAABi8/laAAAAAGLz+Vr6AAAAAAAAABNAAMAAAAJAAAAAxwAAAAGa2V5CnZhbHVlACoA6AcCDmRlbGV0ZWQBBAJoAjECaAESANAPBAEEw6kA",
  abort:
    "AAAAAAAAADIAAABCAAAABQIoAHEtADAAAAAAAAABi8/laAAAAAGLz+VoAAAAAAAAAABNAAP/////AAAAASAAAAAIAAAAAAwAAAAAAAEA",
  commit:
    "AAAAAAAAADIAAABCAAAABQLcPqdlADAAAAAAAAABi8/laAAAAAGLz+VoAAAAAAAAAABNAAP/////AAAAASAAAAAIAAAAAQwAAAAAAAEA",
  /** Emptied by compaction: offsets 40 to 49. */
  emptied: "AAAAAAAAACgAAAAxAAAABQJEERPTABAAAAAJ//////////8AAAGLz+VoAAAAAAAAAABNAAMAAAAJAAAAAA==",
  emptiedControl:
    "AAAAAAAAACgAAAAxAAAABQJMYOfXADAAAAAJ//////////8AAAGLz+VoAAAAAAAAAABNAAMAAAAJAAAAAA==",
};

const bytesOf = (name: keyof typeof java) => Buffer.from(java[name], "base64");

function only(data: Buffer): RecordBatch {
  const [batch, ...more] = decodeBatches(data);
  expect(more).toEqual([]);
  if (!batch) throw new Error("There is no batch");
  return batch;
}

const text = (bytes: Buffer | null) => bytes?.toString() ?? null;

function readable(batch: RecordBatch) {
  return batch.records().map(({ offset, timestamp, key, value, headers }) => ({
    offset,
    timestamp,
    key: text(key),
    value: text(value),
    headers: headers.map(([name, it]) => [name, text(it)]),
  }));
}

const threeRecords = [
  { offset: 40n, timestamp: 1_700_000_000_000, key: "key", value: "value", headers: [] },
  {
    offset: 41n,
    timestamp: 1_699_999_999_000,
    key: null,
    value: "no key, and earlier",
    headers: [],
  },
  {
    offset: 42n,
    timestamp: 1_700_000_000_500,
    key: "deleted",
    value: null,
    headers: [
      ["h", "1"],
      ["h", null],
    ],
  },
];

describe("A batch by Kafka's own code", () => {
  test.each(["none", "gzip", "zstd"] as const)("is read (%s)", (codec) => {
    const batch = only(bytesOf(codec));
    expect(batch).toMatchObject({
      baseOffset: 40n,
      lastOffset: 42n,
      producerId: 77n,
      transactional: true,
      control: null,
    });
    expect(readable(batch)).toEqual(threeRecords);
  });

  test.each(["snappy", "lz4"] as const)("is refused in words that help (%s)", (codec) => {
    const batch = only(bytesOf(codec));
    const error = new FatalError(
      "UNREADABLE_LOG",
      `A batch is compressed with ${codec}, which this client cannot read. ` +
        `Set compression.type=uncompressed on the topic (the catalog does) and let the batch be sent again.`,
    );
    expect(() => batch.records()).toThrow(error);
  });

  test("has the append time in all its records where the topic asks for that", () => {
    const times = only(bytesOf("appendTime"))
      .records()
      .map(({ timestamp }) => timestamp);
    expect(times).toEqual([1_800_000_000_000, 1_800_000_000_000, 1_800_000_000_000]);
  });

  test.each(["abort", "commit"] as const)("is told as the %s marker that it is", (control) => {
    expect(only(bytesOf(control))).toMatchObject({
      baseOffset: 50n,
      lastOffset: 50n,
      producerId: 77n,
      control,
    });
  });

  test("keeps its bounds when compaction has emptied it", () => {
    const batch = only(bytesOf("emptied"));
    expect(batch).toMatchObject({ baseOffset: 40n, lastOffset: 49n, control: null });
    expect(batch.records()).toEqual([]);
  });

  test("is a control batch still when compaction has taken its marker, but ends nothing", () => {
    expect(only(bytesOf("emptiedControl"))).toMatchObject({ lastOffset: 49n, control: "other" });
  });

  test("is what ours encodes from the same records, byte for byte", () => {
    const to = { topic: "any", partition: 0 };
    const records: OutRecord[] = [
      { ...to, timestamp: 1_700_000_000_000, key: "key", value: Buffer.from("value"), headers: [] },
      {
        ...to,
        timestamp: 1_700_000_000_500,
        key: "deleted",
        value: null,
        headers: [
          ["h", Buffer.from("1")],
          ["h", null],
        ],
      },
      { ...to, timestamp: 1_700_000_001_000, key: null, value: Buffer.from("é"), headers: [] },
    ];
    const producer = { producerId: 77n, producerEpoch: 3, baseSequence: 9, transactional: true };
    expect(encodeBatch(records, producer).toString("base64")).toBe(java.ascending);
  });
});

const field = fc.option(
  fc.oneof(
    fc.string({ unit: "binary" }),
    fc.uint8Array().map((it) => Buffer.from(it)),
  ),
);
const header = fc.tuple(fc.string({ unit: "grapheme" }), field);
const anyRecord: fc.Arbitrary<OutRecord> = fc.record({
  topic: fc.constant("any"),
  partition: fc.constant(0),
  key: field,
  value: fc.option(fc.uint8Array({ maxLength: 300 }).map((it) => Buffer.from(it))),
  headers: fc.array(header, { maxLength: 40 }),
  timestamp: fc.oneof(fc.nat(), fc.integer({ min: 0, max: 8_640_000_000_000_000 })),
});
const anyRecords = fc.array(anyRecord, { minLength: 1, maxLength: 150 });
const producer = { producerId: 2n ** 62n, producerEpoch: 32_767, transactional: false };

const asBytes = (it: string | Buffer | null) => (typeof it === "string" ? Buffer.from(it) : it);

describe("A batch that we encode", () => {
  test("is decoded to what went in, whatever its fields, headers and order in time", () => {
    fc.assert(
      fc.property(anyRecords, (records) => {
        const batch = only(encodeBatch(records, { ...producer, baseSequence: 2 ** 31 - 1 }));
        expect(batch).toMatchObject({ producerId: 2n ** 62n, transactional: false, control: null });
        expect(batch.lastOffset).toBe(BigInt(records.length - 1));
        expect(batch.records()).toEqual(
          records.map(({ key, value, headers, timestamp }, i) => ({
            offset: BigInt(i),
            timestamp,
            key: asBytes(key),
            value,
            headers: headers.map(([name, it]) => [name, asBytes(it)]),
          })),
        );
      }),
      { seed },
    );
  });

  test("is no larger than its records were counted for", () => {
    fc.assert(
      fc.property(anyRecords, (records) => {
        const counted = records.reduce((sum, it) => sum + recordBytesAtMost(it), 61);
        const { length } = encodeBatch(records, { ...producer, baseSequence: 0 });
        expect(length).toBeLessThanOrEqual(counted);
      }),
      { seed },
    );
  });
});

const corrupt = expect.objectContaining({ name: "FatalError", code: "CORRUPT_BATCH" }) as Error;

/** With one bit the other way. */
function flipped(data: Buffer, bit: number): Buffer {
  const copy = Buffer.from(data);
  copy.writeUInt8(copy.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
  return copy;
}

/** Filled in by the broker after the producer's checksum: the base offset and the leader's epoch. */
const isOutsideChecksum = (byte: number) => byte < 8 || (byte >= 12 && byte < 16);

describe("A batch whose bytes have changed", () => {
  test.each(["none", "gzip", "zstd", "abort", "emptied"] as const)(
    "is CORRUPT_BATCH, whichever bit it is (%s)",
    (name) => {
      const data = bytesOf(name);
      for (let bit = 0; bit < data.length * 8; bit++) {
        if (isOutsideChecksum(bit >> 3)) continue;
        expect(() => decodeBatches(flipped(data, bit)), `bit ${bit}`).toThrow(corrupt);
      }
    },
  );

  test("is never taken for one that the limit of the fetch has cut off, except behind a whole one", () => {
    const whole = bytesOf("none");
    for (let kept = 1; kept < whole.length; kept++) {
      const cut = whole.subarray(0, kept);
      expect(() => decodeBatches(cut), `${kept} bytes`).toThrow(corrupt);
      expect(decodeBatches(Buffer.concat([whole, cut]))).toHaveLength(1);
    }
  });

  test("is CORRUPT_BATCH though its checksum holds, where its records do not fit into it", () => {
    const data = bytesOf("none");
    const records = 57;
    for (const count of [2, 4, 1_000_000]) {
      data.writeInt32BE(count, records);
      expect(() => resealed(data).records(), `${count} records`).toThrow(corrupt);
    }
    const gzip = bytesOf("gzip");
    gzip.writeUInt8(0, 61); // No gzip any more.
    expect(() => resealed(gzip).records()).toThrow(corrupt);
  });

  test("is CORRUPT_BATCH where it has the format of a broker before 0.11", () => {
    const data = bytesOf("none");
    data.writeInt8(1, 16);
    expect(() => decodeBatches(data)).toThrow(corrupt);
  });
});

/** Decodes it with the checksum that its bytes now have. */
function resealed(data: Buffer): RecordBatch {
  data.writeUInt32BE(crc32c(data, 21, data.length), 17);
  return only(data);
}

test("the batches of a fetch come in their order, and none from no bytes", () => {
  const batches = decodeBatches(Buffer.concat([bytesOf("emptied"), bytesOf("abort")]));
  expect(batches.map(({ lastOffset }) => lastOffset)).toEqual([49n, 50n]);
  expect(decodeBatches(Buffer.alloc(0))).toEqual([]);
});

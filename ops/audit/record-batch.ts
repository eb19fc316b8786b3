import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { FatalError } from "../../engine/errors.ts";
import type { Headers } from "../../engine/log.ts";

/**
 * Kafka's record batch, version 2 (KIP-98), read a second time and in another way than the engine reads it:
 * see `log-reader.ts`.
 */

/** A batch as it stands in the log: its bounds and its producer are known, its records are still bytes. */
export interface Batch {
  readonly firstOffset: bigint;
  /** Kept by compaction although the record at it may be gone. */
  readonly lastOffset: bigint;
  /** -1n where the producer was neither idempotent nor transactional. */
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly isTransactional: boolean;
  /** What it says of its producer's transaction; `null` for a batch of data. */
  readonly marker: "commit" | "abort" | "other" | null;
  /** 0 in a batch that compaction has emptied. */
  readonly recordCount: number;
  /** In bytes, as it is kept. */
  readonly size: number;
  /** @throws FatalError `CORRUPT_BATCH` or `UNREADABLE_LOG` */
  records(): readonly BatchRecord[];
}

export interface BatchRecord {
  readonly offset: bigint;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Headers;
}

const at = {
  length: 8,
  magic: 16,
  crc: 17,
  attributes: 21,
  lastOffsetDelta: 23,
  firstTimestamp: 27,
  maxTimestamp: 35,
  producerId: 43,
  producerEpoch: 51,
  recordCount: 57,
  records: 61,
} as const;

const maxUnpackedBytes = 128 * 1024 * 1024;

/**
 * The whole batches of a fetched record set; what is cut off at its end is left for the next fetch.
 * @throws FatalError `CORRUPT_BATCH` with `where` and the offset, where one is not as it was written
 */
export function batchesOf(recordSet: Buffer, where: string): Batch[] {
  const batches: Batch[] = [];
  let rest = recordSet;
  while (rest.length >= at.records) {
    const size = at.length + 4 + rest.readInt32BE(at.length);
    if (size < at.records) throw corrupt(where, rest, `claims to be ${size} bytes long`);
    if (size > rest.length) break;
    batches.push(batchOf(rest.subarray(0, size), where));
    rest = rest.subarray(size);
  }
  return batches;
}

function batchOf(data: Buffer, where: string): Batch {
  const magic = data.readInt8(at.magic);
  if (magic !== 2) throw corrupt(where, data, `has format ${magic}, which no broker writes today`);
  if (checksum(data.subarray(at.attributes)) !== data.readUInt32BE(at.crc)) {
    throw corrupt(where, data, "fails its checksum");
  }
  const attributes = data.readInt16BE(at.attributes);
  const isControl = (attributes & 0x20) !== 0;
  const firstOffset = data.readBigInt64BE(0);
  const records = () => recordsOf(data, attributes, where);
  return {
    firstOffset,
    lastOffset: firstOffset + BigInt(data.readInt32BE(at.lastOffsetDelta)),
    producerId: data.readBigInt64BE(at.producerId),
    producerEpoch: data.readInt16BE(at.producerEpoch),
    isTransactional: (attributes & 0x10) !== 0,
    marker: isControl ? markerOf(records()) : null,
    recordCount: data.readInt32BE(at.recordCount),
    size: data.length,
    records,
  };
}

/** A control record's key: its version, then 0 for abort, 1 for commit (KIP-98, "Control Messages"). */
function markerOf([record]: readonly BatchRecord[]): NonNullable<Batch["marker"]> {
  const key = record?.key;
  if (!key || key.length < 4) return "other";
  const type = key.readInt16BE(2);
  return type === 0 ? "abort" : type === 1 ? "commit" : "other";
}

function recordsOf(data: Buffer, attributes: number, where: string): BatchRecord[] {
  const count = data.readInt32BE(at.recordCount);
  if (count <= 0) return [];
  const firstOffset = data.readBigInt64BE(0);
  const firstTimestamp = data.readBigInt64BE(at.firstTimestamp);
  const appendTime = (attributes & 0x08) === 0 ? null : data.readBigInt64BE(at.maxTimestamp);
  const fields = new Fields(unpacked(data, attributes & 0x07, where));
  const records: BatchRecord[] = [];
  try {
    for (let i = 0; i < count; i++) {
      const end = fields.lengthAhead();
      fields.skip(1);
      const timestamp = firstTimestamp + BigInt(fields.long());
      const offset = firstOffset + BigInt(fields.long());
      const key = fields.bytes();
      const value = fields.bytes();
      const headers = fields.headers();
      if (fields.position !== end) throw new RangeError("its fields do not add up to its length");
      records.push({ offset, timestamp: Number(appendTime ?? timestamp), key, value, headers });
    }
  } catch (error) {
    throw corrupt(where, data, `holds a record that cannot be read (${(error as Error).message})`);
  }
  return records;
}

function unpacked(data: Buffer, codec: number, where: string): Buffer {
  const packed = data.subarray(at.records);
  const limit = { maxOutputLength: maxUnpackedBytes };
  try {
    if (codec === 0) return packed;
    if (codec === 1) return gunzipSync(packed, limit);
    if (codec === 4) return zstdDecompressSync(packed, limit);
  } catch (error) {
    throw corrupt(where, data, `cannot be unpacked (${(error as Error).message})`);
  }
  const name = { 2: "snappy", 3: "lz4" }[codec] ?? `codec ${codec}`;
  throw new FatalError(
    "UNREADABLE_LOG",
    `${where}/${data.readBigInt64BE(0)} is compressed with ${name}; the audit reads none, gzip and zstd. ` +
      "Set compression.type=uncompressed on the topic, as the catalog does.",
  );
}

function corrupt(where: string, data: Buffer, what: string): FatalError {
  const offset = data.readBigInt64BE(0);
  return new FatalError("CORRUPT_BATCH", `the batch at ${where}/${offset} ${what}`);
}

/** Reads varints, and what they measure (Kafka protocol guide, "Record"). */
class Fields {
  private readonly data: Buffer;
  position = 0;

  constructor(data: Buffer) {
    this.data = data;
  }

  /** Reads a length and tells where that many bytes end. */
  lengthAhead(): number {
    const length = this.long();
    return this.position + length;
  }

  skip(bytes: number): void {
    this.position += bytes;
  }

  bytes(): Buffer | null {
    const length = this.long();
    if (length < 0) return null;
    const from = this.position;
    this.position += length;
    if (this.position > this.data.length) throw new RangeError("a field reaches beyond the batch");
    return this.data.subarray(from, this.position);
  }

  headers(): Headers {
    const count = this.long();
    if (count < 0) throw new RangeError("a count of headers below 0");
    const headers: [string, Buffer | null][] = [];
    for (let i = 0; i < count; i++) {
      const name = this.bytes();
      if (name === null) throw new RangeError("a header without a name");
      headers.push([name.toString("utf8"), this.bytes()]);
    }
    return headers;
  }

  /** A zigzag varint; exact up to 53 bits, which no length, delta or count here reaches. */
  long(): number {
    let zigzag = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++) {
      const byte = this.data[this.position++];
      if (byte === undefined) throw new RangeError("a number reaches beyond the batch");
      zigzag += (byte & 0x7f) * scale;
      if (byte < 0x80) return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
      scale *= 128;
    }
    throw new RangeError("a number of more than ten bytes");
  }
}

/** CRC-32C (RFC 3720, appendix B.4), eight tables wide: the bit-by-bit definition, worked out beforehand. */
const tables: readonly Int32Array[] = Array.from({ length: 8 }, () => new Int32Array(256));
for (let byte = 0; byte < 256; byte++) {
  let remainder = byte;
  for (let slice = 0; slice < 8; slice++) {
    for (let bit = 0; bit < 8; bit++) {
      remainder = (remainder & 1) === 0 ? remainder >>> 1 : (remainder >>> 1) ^ 0x82f63b78;
    }
    (tables[slice] as Int32Array)[byte] = remainder;
  }
}
const [t0, t1, t2, t3, t4, t5, t6, t7] = tables as [
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
];

export function checksum(data: Buffer): number {
  let crc = -1;
  let i = 0;
  for (; i + 8 <= data.length; i += 8) {
    const low = crc ^ data.readInt32LE(i);
    const high = data.readInt32LE(i + 4);
    crc =
      (t7[low & 0xff] as number) ^
      (t6[(low >>> 8) & 0xff] as number) ^
      (t5[(low >>> 16) & 0xff] as number) ^
      (t4[low >>> 24] as number) ^
      (t3[high & 0xff] as number) ^
      (t2[(high >>> 8) & 0xff] as number) ^
      (t1[(high >>> 16) & 0xff] as number) ^
      (t0[high >>> 24] as number);
  }
  for (; i < data.length; i++) {
    crc = (crc >>> 8) ^ (t0[(crc ^ (data[i] as number)) & 0xff] as number);
  }
  return ~crc >>> 0;
}

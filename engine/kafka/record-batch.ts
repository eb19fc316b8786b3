import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { FatalError, messageOf } from "../errors.ts";
import type { Headers, LogRecord, OutRecord } from "../log.ts";
import { crc32c } from "./crc32c.ts";

/**
 * Kafka's record batch, version 2 (KIP-98; org.apache.kafka.common.record.DefaultRecordBatch). Our own,
 * for three reasons: kafkajs's decoder drops the bounds of a batch that compaction has emptied, it does
 * not check the checksum, and it copies every record several times.
 */

const headerBytes = 61;
const crcFrom = 21; // The checksum covers everything from the attributes on.
const maxDecompressedBytes = 64 * 1024 * 1024;

const attribute = { codec: 0b111, appendTime: 1 << 3, transactional: 1 << 4, control: 1 << 5 };
const codecs = ["none", "gzip", "snappy", "lz4", "zstd"];

export interface RecordBatch {
  readonly baseOffset: bigint;
  /** Kept by compaction although the record at it may be gone. */
  readonly lastOffset: bigint;
  /** -1n where the producer was not idempotent. */
  readonly producerId: bigint;
  readonly transactional: boolean;
  /** What a control batch says about the transactions of its producer; `null` for a batch of data. */
  readonly control: "abort" | "commit" | "other" | null;
  /** Decodes the data records. Not to be called on a control batch. */
  records(): LogRecord[];
}

/**
 * The whole batches in a fetch response, in order; a batch cut off at the end is left out, but not the
 * first: a broker sends that whole, and to go on without it would be to lose what is in it.
 * @throws FatalError `CORRUPT_BATCH` where a checksum fails. It covers neither the base offset nor the
 *   leader's epoch, which the broker fills in
 */
export function decodeBatches(data: Buffer): RecordBatch[] {
  const batches: RecordBatch[] = [];
  for (let at = 0; at < data.length;) {
    const end = at + headerBytes <= data.length ? at + 12 + data.readInt32BE(at + 8) : Infinity;
    if (end > data.length && at > 0) break;
    if (end > data.length || end < at + headerBytes) {
      throw new FatalError("CORRUPT_BATCH", "A batch has another length than it claims.");
    }
    batches.push(decodeBatch(data, at, end));
    at = end;
  }
  return batches;
}

function decodeBatch(data: Buffer, at: number, end: number): RecordBatch {
  const baseOffset = data.readBigInt64BE(at);
  const magic = data.readInt8(at + 16);
  if (magic !== 2) {
    throw corrupt(baseOffset, `has format ${magic}; brokers since 4.0 write only 2`);
  }
  if (crc32c(data, at + crcFrom, end) !== data.readUInt32BE(at + 17)) {
    throw corrupt(baseOffset, "fails its checksum: the bytes changed on disk or on the way");
  }
  const attributes = data.readInt16BE(at + 21);
  const control = (attributes & attribute.control) !== 0;
  return {
    baseOffset,
    lastOffset: baseOffset + BigInt(data.readInt32BE(at + 23)),
    producerId: data.readBigInt64BE(at + 43),
    transactional: (attributes & attribute.transactional) !== 0,
    control: control ? controlType(data, at, end) : null,
    records: () => decodeRecords(data, at, end, attributes),
  };
}

function corrupt(baseOffset: bigint, how: string, options?: ErrorOptions): FatalError {
  const message = `The batch at offset ${baseOffset} ${how}.`;
  return new FatalError("CORRUPT_BATCH", message, options);
}

/** A control record's key is its version and its type (KIP-98, "Control Messages"). */
function controlType(data: Buffer, at: number, end: number): "abort" | "commit" | "other" {
  if (data.readInt32BE(at + 57) === 0) return "other"; // Emptied by compaction.
  const [record] = decodeRecords(data, at, end, 0);
  const type = record?.key && record.key.length >= 4 ? record.key.readInt16BE(2) : -1;
  return type === 0 ? "abort" : type === 1 ? "commit" : "other";
}

function decodeRecords(data: Buffer, at: number, end: number, attributes: number): LogRecord[] {
  const baseOffset = data.readBigInt64BE(at);
  const baseTimestamp = Number(data.readBigInt64BE(at + 27));
  const maxTimestamp = Number(data.readBigInt64BE(at + 35));
  const appendTime = (attributes & attribute.appendTime) !== 0;
  const count = data.readInt32BE(at + 57);
  try {
    const body = decompress(data.subarray(at + headerBytes, end), attributes & attribute.codec);
    const cursor = new Cursor(body);
    const records: LogRecord[] = [];
    for (let i = 0; i < count; i++) {
      cursor.varint(); // The record's length.
      cursor.skip(1); // Its attributes, unused.
      const timestamp = baseTimestamp + cursor.varint();
      const offset = baseOffset + BigInt(cursor.varint());
      const key = cursor.bytes();
      const value = cursor.bytes();
      records.push({
        offset,
        timestamp: appendTime ? maxTimestamp : timestamp,
        key,
        value,
        headers: cursor.headers(),
      });
    }
    cursor.end();
    return records;
  } catch (error) {
    if (error instanceof FatalError) throw error;
    throw corrupt(baseOffset, `cannot be decoded: ${messageOf(error)}`, { cause: error });
  }
}

function decompress(body: Buffer, codec: number): Buffer {
  const limit = { maxOutputLength: maxDecompressedBytes };
  const name = codecs[codec] ?? `codec ${codec}`;
  if (name === "none") return body;
  if (name === "gzip") return gunzipSync(body, limit);
  if (name === "zstd") return zstdDecompressSync(body, limit);
  throw new FatalError(
    "UNREADABLE_LOG",
    `A batch is compressed with ${name}, which this client cannot read. ` +
      `Set compression.type=uncompressed on the topic (the catalog does) and let the batch be sent again.`,
  );
}

/** Reads zigzag varints (of up to 53 bits) and what they measure. */
class Cursor {
  private readonly data: Buffer;
  private at = 0;
  constructor(data: Buffer) {
    this.data = data;
  }

  skip(bytes: number): void {
    this.at += bytes;
  }

  /** Asserts that all has been read, and nothing beyond. */
  end(): void {
    if (this.at !== this.data.length) {
      throw new RangeError(`its records end at ${this.at} of ${this.data.length} bytes`);
    }
  }

  varint(): number {
    let low = 0;
    let shift = 0;
    let byte = this.data.readUInt8(this.at++);
    // Up to 28 bits in integer arithmetic, which nearly every varint here fits into.
    while (byte & 0x80 && shift < 21) {
      low |= (byte & 0x7f) << shift;
      shift += 7;
      byte = this.data.readUInt8(this.at++);
    }
    if (!(byte & 0x80)) {
      low |= byte << shift;
      return (low >>> 1) ^ -(low & 1);
    }
    let wide = low + (byte & 0x7f) * 2 ** shift;
    while (byte & 0x80) {
      shift += 7;
      byte = this.data.readUInt8(this.at++);
      wide += (byte & 0x7f) * 2 ** shift;
    }
    return wide % 2 === 0 ? wide / 2 : -(wide + 1) / 2;
  }

  bytes(): Buffer | null {
    const length = this.varint();
    if (length < 0) return null;
    const from = this.at;
    this.at += length;
    return this.data.subarray(from, this.at);
  }

  headers(): Headers {
    const count = this.varint();
    if (count === 0) return noHeaders;
    const headers: [string, Buffer | null][] = [];
    for (let i = 0; i < count; i++) {
      headers.push([this.bytes()?.toString("utf8") ?? "", this.bytes()]);
    }
    return headers;
  }
}

const noHeaders: Headers = [];

export interface ProducerState {
  readonly producerId: bigint;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly transactional: boolean;
}

/** One uncompressed batch of data records, all for one partition, ready to be produced. */
export function encodeBatch(records: readonly OutRecord[], producer: ProducerState): Buffer {
  const first = records[0]?.timestamp ?? 0;
  let base = first;
  let max = first;
  for (const { timestamp } of records) {
    if (timestamp < base) base = timestamp;
    if (timestamp > max) max = timestamp;
  }
  let capacity = headerBytes;
  for (const record of records) capacity += recordBytesAtMost(record);
  const data = Buffer.allocUnsafe(capacity);

  let at = headerBytes;
  for (let i = 0; i < records.length; i++) {
    at = writeRecord(data, at, records[i] as OutRecord, i, base);
  }

  data.writeBigInt64BE(0n, 0);
  data.writeInt32BE(at - 12, 8);
  data.writeInt32BE(-1, 12); // The leader's epoch: set by the broker.
  data.writeInt8(2, 16);
  data.writeInt16BE(producer.transactional ? attribute.transactional : 0, 21);
  data.writeInt32BE(records.length - 1, 23);
  data.writeBigInt64BE(BigInt(base), 27);
  data.writeBigInt64BE(BigInt(max), 35);
  data.writeBigInt64BE(producer.producerId, 43);
  data.writeInt16BE(producer.producerEpoch, 51);
  data.writeInt32BE(producer.baseSequence, 53);
  data.writeInt32BE(records.length, 57);
  data.writeUInt32BE(crc32c(data, crcFrom, at), 17);
  return data.subarray(0, at);
}

/** An upper bound of what a record takes in a batch, in bytes. */
export function recordBytesAtMost(record: OutRecord): number {
  let bytes = 40 + lengthAtMost(record.key) + lengthAtMost(record.value);
  for (const [name, value] of record.headers) bytes += 10 + name.length * 3 + lengthAtMost(value);
  return bytes;
}

function lengthAtMost(text: string | Buffer | null): number {
  return text === null ? 0 : typeof text === "string" ? text.length * 3 : text.length;
}

function writeRecord(
  data: Buffer,
  from: number,
  record: OutRecord,
  offsetDelta: number,
  baseTimestamp: number,
): number {
  // The length goes first and is known last: leave room for the longest, then close the gap.
  const room = 5;
  let at = from + room;
  at = data.writeInt8(0, at);
  at = writeVarint(data, at, record.timestamp - baseTimestamp);
  at = writeVarint(data, at, offsetDelta);
  at = writeField(data, at, record.key);
  at = writeField(data, at, record.value);
  at = writeVarint(data, at, record.headers.length);
  for (const [name, value] of record.headers) {
    at = writeField(data, at, name);
    at = writeField(data, at, value);
  }
  const length = at - from - room;
  const start = writeVarint(data, from, length);
  data.copyWithin(start, from + room, at);
  return start + length;
}

function writeField(data: Buffer, at: number, field: string | Buffer | null): number {
  if (field === null) return writeVarint(data, at, -1);
  if (typeof field === "string") {
    const bytes = Buffer.byteLength(field, "utf8");
    const from = writeVarint(data, at, bytes);
    return from + data.write(field, from, "utf8");
  }
  const from = writeVarint(data, at, field.length);
  return from + field.copy(data, from);
}

function writeVarint(data: Buffer, from: number, value: number): number {
  let at = from;
  let rest = value >= 0 ? value * 2 : value * -2 - 1;
  while (rest > 0x7f) {
    data[at++] = (rest % 128) | 0x80;
    rest = Math.floor(rest / 128);
  }
  data[at++] = rest;
  return at;
}

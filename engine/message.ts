import { createHash } from "node:crypto";

/** The envelope: keys, header names, ids and partitions. Pure. */

/** Names of record headers. Values are UTF-8 text. */
export const headers = {
  /** On an event: the id of the command that caused it. */
  commandId: "command-id",
  /** On an event: the offset of the command's first handling in the commands topic, decimal. */
  commandOffset: "command-offset",
  /** Present where they differ from the command id. */
  correlationId: "correlation-id",
  causationId: "causation-id",
  /** Who asked; passed on from the command to its events and reply. */
  actor: "actor",
  /** W3C trace context, passed on likewise. */
  traceparent: "traceparent",
  /** On a snapshot: the version of the state in it, decimal. */
  version: "version",
  /** On a snapshot: the fold that made it, see `foldIdentity`. */
  foldVersion: "fold-version",
  /** On the last reply of a transaction: the dedupe horizon H, milliseconds since the epoch. */
  horizon: "horizon",
  /** On the last reply of a transaction: the replies offset of the oldest answer still remembered. */
  oldestReply: "oldest-reply",
  /** On a command sent again from a dead letter: `<topic>/<partition>/<offset>` of the dead letter. */
  replayOf: "foldlog-replay-of",
} as const;

/** Headers that a command hands on to its events and its reply. */
export const propagatedHeaders: readonly string[] = [
  headers.correlationId,
  headers.causationId,
  headers.actor,
  headers.traceparent,
];

export const maxIdBytes = 255;

/**
 * Aggregate and command ids: well-formed Unicode of 1 to 255 bytes. `__proto__` and newlines are legal; U+0000 is
 * not, for no view in Postgres could hold it.
 */
export function isValidId(id: string): boolean {
  if (id.length === 0 || id.length > maxIdBytes || !id.isWellFormed()) return false;
  if (id.includes("\0")) return false;
  return Buffer.byteLength(id, "utf8") <= maxIdBytes;
}

/** The key of an event: unique, so that compaction never takes one event for a newer form of another. */
export function eventKey(aggregateId: string, version: number): string {
  return `${aggregateId}/${version}`;
}

/** The inverse of `eventKey`, or `null` for a key that no event of ours has. An id may itself hold a `/`. */
export function parseEventKey(key: string): { aggregateId: string; version: number } | null {
  const slash = key.lastIndexOf("/");
  const digits = key.slice(slash + 1);
  if (slash < 1 || !/^[1-9][0-9]{0,15}$/.test(digits)) return null;
  return { aggregateId: key.slice(0, slash), version: Number(digits) };
}

/** The reserved key in the snapshots topic under which a worker writes how far it has come. */
export const positionKey = "@position";

/** The key of a snapshot: the aggregate id, its leading `@` doubled to keep clear of reserved keys. */
export function snapshotKey(aggregateId: string): string {
  return aggregateId.startsWith("@") ? `@${aggregateId}` : aggregateId;
}

export function aggregateIdOfSnapshot(key: string): string {
  return key.startsWith("@@") ? key.slice(1) : key;
}

/** The key of a reply to a record that has no readable command id. */
export function unidentifiedReplyKey(partition: number, offset: bigint): string {
  return `@${partition}/${offset}`;
}

/** The key of the reply to a command whose id had been used for another payload. */
export function reusedIdReplyKey(commandId: string, offset: bigint): string {
  return `${commandId}@${offset}`;
}

/**
 * The partition of an aggregate: murmur2 over the UTF-8 id modulo the count, as Kafka's Java client and
 * kafkajs's default partitioner do it (org.apache.kafka.common.utils.Utils#murmur2). Always set explicitly.
 */
export function partitionOf(aggregateId: string, partitions: number): number {
  return (murmur2(Buffer.from(aggregateId, "utf8")) & 0x7fffffff) % partitions;
}

function murmur2(data: Buffer): number {
  const m = 0x5bd1e995;
  const length = data.length;
  let h = 0x9747b28c ^ length;
  const whole = length & ~3;
  for (let i = 0; i < whole; i += 4) {
    let k = Math.imul(data.readInt32LE(i), m);
    k = Math.imul(k ^ (k >>> 24), m);
    h = Math.imul(h, m) ^ k;
  }
  const rest = length & 3;
  if (rest === 3) h ^= data.readUInt8(whole + 2) << 16;
  if (rest >= 2) h ^= data.readUInt8(whole + 1) << 8;
  if (rest >= 1) h = Math.imul(h ^ data.readUInt8(whole), m);
  h = Math.imul(h ^ (h >>> 13), m);
  return h ^ (h >>> 15);
}

/** The id of a transactional producer: stable, so that a new owner fences the old one. */
export function transactionalId(worker: string, inputTopic: string, partition: number): string {
  return `${worker}.${inputTopic}.${partition}`;
}

/**
 * A UUIDv7 (RFC 9562, 5.7): milliseconds since the epoch, and 74 bits of chance, from numbers in [0, 1).
 */
export function uuidV7(nowMs: number, random: () => number): string {
  const hex = (bits: number) =>
    Math.floor(random() * 2 ** bits)
      .toString(16)
      .padStart(bits / 4, "0");
  const time = nowMs.toString(16).padStart(12, "0");
  const variant = "89ab".charAt(Math.floor(random() * 4));
  return `${time.slice(0, 8)}-${time.slice(8)}-7${hex(12)}-${variant}${hex(12)}-${hex(24)}${hex(24)}`;
}

const uuidV7Pattern = /^([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

/**
 * When a command id was issued, in milliseconds since the epoch: the time in a UUIDv7 (RFC 9562, 5.7), else
 * the command's own `issuedAt`, else `null`: such an id is protected within the dedupe window only.
 */
export function issueTimeOf(commandId: string, issuedAt: number | null): number | null {
  const match = uuidV7Pattern.exec(commandId);
  return match ? Number.parseInt(`${match[1]}${match[2]}`, 16) : issuedAt;
}

/**
 * A hash of what a command asks for: its type and fields without `commandId` and `issuedAt`. Fields that
 * have their schema's default are left out, so that the hash outlives a schema version that adds a field.
 */
export function payloadHash(
  type: string,
  data: Readonly<Record<string, unknown>>,
  defaults: ReadonlyMap<string, unknown>,
): Buffer {
  const said: unknown[] = [type];
  for (const name of Object.keys(data).sort()) {
    if (name === "commandId" || name === "issuedAt") continue;
    const value = JSON.stringify(data[name]);
    if (defaults.has(name) && JSON.stringify(defaults.get(name)) === value) continue;
    said.push(name, value);
  }
  return createHash("sha256").update(JSON.stringify(said)).digest().subarray(0, 16);
}

import { isUtf8 } from "node:buffer";
import type { Codec } from "../../engine/codec.ts";
import { commandReader } from "../../engine/commands/command.ts";
import { deadLetterHeaders } from "../../engine/commands/dead-letter.ts";
import { recordBytesAtMost } from "../../engine/kafka/record-batch.ts";
import type { Headers, OutRecord } from "../../engine/log.ts";
import { headers, partitionOf } from "../../engine/message.ts";
import { type AggregateTopics, maxRecordBytes } from "../../engine/topic.ts";
import { type DeadLetter, shownCoordinates } from "./dead-letters.ts";

/** Whether and how a dead letter goes back to the topic that it came from. Pure. */

export type Replay =
  | {
      readonly kind: "send";
      readonly letter: DeadLetter;
      readonly record: OutRecord;
      readonly type: string;
      readonly aggregateId: string;
      /** What it had, and what it is sent with; the same unless a new one was asked for. */
      readonly oldId: string;
      readonly commandId: string;
    }
  /** It would fail again for certain, or must not be sent. */
  | { readonly kind: "refuse"; readonly letter: DeadLetter; readonly reason: string };

export interface ReplayContext {
  readonly topics: AggregateTopics;
  /** It has learnt the schema ids of the letters. */
  readonly codec: Codec;
  readonly ids: "kept" | "new";
}

/**
 * The record to send: the original bytes and headers, to the partition where the key belongs, with a header
 * that names the dead letter. Refused where the command processor could not read it now either.
 *
 * A new id is made of the dead letter's coordinates, so that a second replay is a duplicate of the first. It
 * has no issue time, since every time that one could give it may lie before the dedupe horizon.
 */
export function replayOf(letter: DeadLetter, { topics, codec, ids }: ReplayContext): Replay {
  const { record, from } = letter;
  const refuse = (reason: string): Replay => ({ kind: "refuse", letter, reason });
  if (from !== null && from.topic !== topics.commands.name) {
    return refuse(`it came from ${from.topic}, and only commands are replayed`);
  }
  const key = record.key !== null && isUtf8(record.key) ? record.key.toString("utf8") : null;
  const partition = key === null ? 0 : partitionOf(key, topics.commands.partitions);
  const read = commandReader(topics, partition, codec).read(record);
  if (read.kind === "poison") {
    return refuse(`it would fail again: ${read.poison.code}: ${read.poison.message}`);
  }
  const { command } = read;
  const coordinates = `${topics.dlq.name}/${shownCoordinates(letter)}`;
  const commandId = ids === "kept" ? command.id : `replay:${coordinates}`;
  const renamed = { ...command.data, commandId, issuedAt: null };
  const out: OutRecord = {
    topic: topics.commands.name,
    partition,
    key: record.key,
    value: ids === "kept" ? record.value : codec.encode(topics.commands, command.type, renamed),
    headers: [...original(record.headers), [headers.replayOf, coordinates]],
    timestamp: record.timestamp,
  };
  if (batchOverheadBytes + recordBytesAtMost(out) > maxRecordBytes) {
    return refuse("with the header that names the dead letter it is larger than the log takes");
  }
  const { id: oldId, type, aggregateId } = command;
  return { kind: "send", letter, record: out, type, aggregateId, oldId, commandId };
}

const batchOverheadBytes = 61;

/** The sender's own headers: without what the dead letter says, and what an earlier replay said. */
function original(all: Headers): Headers {
  const ours = new Set<string>([...Object.values(deadLetterHeaders), headers.replayOf]);
  return all.filter(([name]) => !ours.has(name));
}

/**
 * The order of a replay: as the commands were sent, so that those of one aggregate keep theirs.
 */
export function inOriginalOrder(letters: readonly DeadLetter[]): readonly DeadLetter[] {
  const rank = ({ from, partition, offset }: DeadLetter) => from ?? { partition, offset };
  return [...letters].sort((a, b) => {
    const [x, y] = [rank(a), rank(b)];
    return x.partition - y.partition || (x.offset < y.offset ? -1 : x.offset > y.offset ? 1 : 0);
  });
}

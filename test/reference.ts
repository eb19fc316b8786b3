import type { Codec } from "../engine/codec.ts";
import { commandReader } from "../engine/commands/command.ts";
import type { LogRecord } from "../engine/log.ts";
import type { AggregateTopics } from "../engine/topic.ts";
import type { AccountState } from "../schemas/generated.ts";
import { accountDecider } from "./bank.ts";

/** What one partition's commands must lead to: the same commands, one after the other, without any engine. */
export interface Reference {
  /** `[key, type, command id]` in log order. */
  readonly events: readonly (readonly [string, string, string])[];
  /** `[command offset, outcome, version, reason]` in log order. */
  readonly replies: readonly (readonly [number, string, number | null, string | null])[];
  readonly states: ReadonlyMap<string, { readonly state: AccountState; readonly version: number }>;
}

type Answer = readonly [string, number, string | null];

/** Knows duplicates, expected versions, decisions and poison; not the dedupe horizon nor clocks. */
export function referenceFold(
  records: readonly LogRecord[],
  partition: number,
  { topics, codec }: { readonly topics: AggregateTopics; readonly codec: Codec },
): Reference {
  const reader = commandReader(topics, partition, codec);
  const states = new Map<string, { state: AccountState; version: number }>();
  const answers = new Map<string, Answer>();
  const events: [string, string, string][] = [];
  const replies: [number, string, number | null, string | null][] = [];
  for (const record of records) {
    const read = reader.read(record);
    const offset = Number(record.offset);
    if (read.kind === "poison") {
      replies.push([offset, "failed", null, read.poison.code]);
      continue;
    }
    const { id, aggregateId, expectedVersion, type, data } = read.command;
    const name = JSON.stringify([aggregateId, id]);
    let answer = answers.get(name);
    if (!answer) {
      const before = states.get(aggregateId) ?? { state: accountDecider.initialState, version: 0 };
      const decision = accountDecider.decide({ type, data }, before.state);
      if (expectedVersion !== null && expectedVersion !== before.version) {
        answer = ["conflict", before.version, null];
      } else if (decision.kind === "rejected") {
        answer = ["rejected", before.version, decision.reason];
      } else {
        let { state, version } = before;
        for (const event of decision.events) {
          state = accountDecider.evolve(state, event);
          events.push([`${aggregateId}/${++version}`, event.type, id]);
        }
        states.set(aggregateId, { state, version });
        answer = ["accepted", version, null];
      }
      answers.set(name, answer);
    }
    replies.push([offset, ...answer]);
  }
  return { events, replies, states };
}

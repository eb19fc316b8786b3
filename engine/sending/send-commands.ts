import { type Application, aggregatesOf } from "../application.ts";
import { openCodec } from "../avro/avro-codec.ts";
import type { JsonProblem } from "../avro/avro-json.ts";
import { openRegistry } from "../avro/registry.ts";
import { readSchemaIds } from "../avro/schema-ids.ts";
import { systemClock } from "../clock.ts";
import type { Config } from "../config.ts";
import type { Message } from "../decider.ts";
import type { Reply } from "../generated.ts";
import { kafkaLog } from "../kafka/kafka-log.ts";
import { commandRecord, commandTypeOf, type Outgoing } from "./command-record.ts";
import { Conversation } from "./conversation.ts";

/** Commands straight to the log, for scripts: connects, sends, waits for the answers, and closes. */

/** What became of a command that was sent. */
export type Sent =
  | { readonly kind: "answered"; readonly reply: Reply }
  /** It cannot be a command; nothing of it was sent. A sentence a fault. */
  | { readonly kind: "refused"; readonly problems: readonly string[] }
  /** It may be in the log, and may yet be handled. The same command id may be sent again. */
  | { readonly kind: "unanswered" };

/** How long to wait. */
export interface SendOptions {
  /** Gives up when nothing was heard for so long while something is in flight, in milliseconds. */
  readonly silenceMs?: number;
}

/**
 * Sends commands, those of one aggregate in the order given, and resolves to what became of each. A command is
 * its `type` and its fields as JSON has them, `commandId` and the aggregate's id among them; sent again with the
 * same id and the same fields it gets the same answer and changes nothing.
 * @throws FatalError `SCHEMA_UNREGISTERED`, `SCHEMA_DRIFT` or `UNAUTHORIZED`
 */
export async function sendCommands(
  application: Application,
  config: Config,
  commands: readonly Message[],
  { silenceMs = 30_000 }: SendOptions = {},
): Promise<readonly Sent[]> {
  const aggregates = aggregatesOf(application);
  const { url, idsFile } = config.registry;
  const log = kafkaLog(config.kafka);
  try {
    const codec = await openCodec(
      {
        registry: openRegistry({ url, requestTimeoutMs: 5_000 }),
        topics: aggregates.flatMap(({ commands: of, replies }) => [of, replies]),
        ...(idsFile !== null && { knownIds: readSchemaIds(idsFile) }),
        unknownIdWaitMs: 0,
        clock: systemClock,
      },
      AbortSignal.timeout(silenceMs),
    );
    const sent = new Array<Sent>(commands.length).fill({ kind: "unanswered" });
    const conversation = await Conversation.open<Outgoing & { readonly index: number }>({
      log,
      codec,
      aggregates,
      replies: "awaited",
      silenceMs,
      onAnswer: ({ outgoing, reply }) => {
        sent[outgoing.index] = { kind: "answered", reply };
      },
      onTrouble: () => undefined,
    });
    try {
      for (const [index, command] of commands.entries()) {
        const made = outgoingOf(codec, aggregates, command);
        if ("problems" in made) {
          sent[index] = { kind: "refused", problems: made.problems };
          continue;
        }
        if (!conversation.hasRoom) await conversation.room();
        if (!conversation.isOver) conversation.send({ ...made, index });
      }
      await conversation.settled();
    } finally {
      await conversation.close();
    }
    return sent;
  } finally {
    await log.close();
  }
}

/** The record that carries a command, or all that is wrong with it, a sentence each. */
export function outgoingOf(
  codec: Parameters<typeof commandRecord>[0],
  aggregates: Parameters<typeof commandTypeOf>[0],
  { type, data }: Message,
): Outgoing | { readonly problems: readonly string[] } {
  const found = commandTypeOf(aggregates, type);
  if (found === null) {
    const all = aggregates.flatMap(({ commands }) => commands.records.map(({ name }) => name));
    return { problems: [`${type} is not a command; the commands are ${all.join(", ")}`] };
  }
  const made = commandRecord(codec, found, data as Readonly<Record<string, unknown>>);
  switch (made.kind) {
    case "command":
      return made.outgoing;
    case "refused":
      return { problems: made.problems.map(sentence) };
    case "too large":
      return { problems: [`it takes ${made.bytes} bytes as a record, more than the log takes`] };
  }
}

function sentence({ path, message }: JsonProblem): string {
  return path === "" ? message : `${path}: ${message}`;
}

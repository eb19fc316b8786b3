import { type Application, projectionsOf, topicsOf } from "../application.ts";
import { openCodec } from "../avro/avro-codec.ts";
import { systemClock } from "../clock.ts";
import type { Codec } from "../codec.ts";
import type { CommandPartition } from "../commands/command-processor.ts";
import type { TopicPartition } from "../log.ts";
import type { AnyProjection } from "../projection.ts";
import type { CommandWorker } from "../worker.ts";
import type { MemoryLog } from "./memory-log.ts";
import { registryWith } from "./memory-registry.ts";

/** An application's workers as the loops that they run, and what these loops need in memory. */

/** One loop of a worker: the commands of an aggregate, or a view, on one partition. */
export type Loop =
  | { readonly kind: "commands"; readonly worker: CommandWorker; readonly partition: number }
  | { readonly kind: "view"; readonly projection: AnyProjection; readonly of: TopicPartition };

/** Every loop of an application, on every partition that it reads. */
export function loopsOf(application: Application): readonly Loop[] {
  const loops: Loop[] = [];
  for (const worker of Object.values(application.workers)) {
    if (worker.kind !== "command-processor") continue;
    for (let partition = 0; partition < worker.topics.commands.partitions; partition++) {
      loops.push({ kind: "commands", worker, partition });
    }
  }
  for (const projection of projectionsOf(application)) {
    for (const { name: topic, partitions } of projection.topics) {
      for (let partition = 0; partition < partitions; partition++) {
        loops.push({ kind: "view", projection, of: { topic, partition } });
      }
    }
  }
  return loops;
}

/** The part of a loop over commands that is not said by `parts`: it has its partition alone, and tells nothing. */
export function commandPartition(
  { decider, topics }: CommandWorker,
  partition: number,
  parts: Pick<CommandPartition<object>, "log" | "codec" | "openStore" | "clock" | "limits">,
): CommandPartition<object> {
  return {
    ...parts,
    decider,
    topics,
    partition,
    group: `${topics.namespace}.${topics.aggregate}`,
    confirm: async () => true,
    hooks: {
      opening: () => undefined,
      stuck: () => undefined,
      ready: () => undefined,
      committed: () => undefined,
      lag: () => undefined,
    },
  };
}

/** Creates every topic of an application. */
export async function createTopics(log: MemoryLog, application: Application): Promise<void> {
  for (const { name, partitions, config } of topicsOf(application)) {
    await log.createTopic({ name, partitions, replicationFactor: 1, config });
  }
}

/** A codec over a registry that has every schema of an application. */
export async function codecFor(application: Application): Promise<Codec> {
  const topics = topicsOf(application);
  const { upcasts = {} } = application;
  const registry = await registryWith(topics);
  return openCodec(
    { registry, topics, upcasts, unknownIdWaitMs: 0, clock: systemClock },
    new AbortController().signal,
  );
}

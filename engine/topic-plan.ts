import type { Log } from "./log.ts";
import { differences, type Difference, settingsOf } from "./topic-check.ts";
import type { Topic } from "./topic.ts";

/** What it takes to bring the broker's topics to what the catalog says. Never deletes, never repartitions. */

/** A declared topic, and what is to be done about it. */
export interface PlannedTopic {
  readonly topic: Topic;
  /** `refuse`: it differs in what cannot be changed in place. */
  readonly action: "create" | "alter" | "keep" | "refuse";
  readonly differences: readonly Difference[];
}

const fixed = new Set(["partitions", "replication.factor"]);

/** Compares the broker's topics with the declared ones and says what is to be done. Changes nothing. */
export async function plan(
  log: Log,
  catalog: readonly Topic[],
  replicationFactor: number,
): Promise<PlannedTopic[]> {
  const planned: PlannedTopic[] = [];
  for (const topic of catalog) {
    const found = await log.describeTopic(topic.name);
    const all = found ? differences(topic, found, replicationFactor) : [];
    const action = !found
      ? "create"
      : all.some(({ setting }) => fixed.has(setting))
        ? "refuse"
        : all.length > 0
          ? "alter"
          : "keep";
    planned.push({ topic, action, differences: all });
  }
  return planned;
}

/** Carries a plan out, topic by topic; what it refuses is left as it is. Running it again changes nothing. */
export async function apply(
  log: Log,
  planned: readonly PlannedTopic[],
  replicationFactor: number,
  onDone: (topic: PlannedTopic) => void = () => undefined,
): Promise<void> {
  for (const it of planned) {
    const { topic, action } = it;
    if (action === "create") {
      const config = settingsOf(topic, replicationFactor);
      await log.createTopic({
        name: topic.name,
        partitions: topic.partitions,
        replicationFactor,
        config,
      });
    } else if (action === "alter") {
      await log.alterTopic(
        topic.name,
        Object.fromEntries(it.differences.map(({ setting, wanted }) => [setting, wanted])),
      );
    }
    onDone(it);
  }
}

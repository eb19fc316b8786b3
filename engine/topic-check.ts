import { FatalError } from "./errors.ts";
import type { Log, TopicDescription } from "./log.ts";
import type { Topic } from "./topic.ts";

/** What the catalog says of a topic against what the broker has. */

/** One setting on which the broker and the declaration differ. */
export interface Difference {
  /** `partitions`, `replication.factor`, or a topic setting. */
  readonly setting: string;
  readonly wanted: string;
  readonly found: string;
}

/** Settings that follow from how many replicas a deployment has. */
export function settingsOf(
  topic: Topic,
  replicationFactor: number,
): Readonly<Record<string, string>> {
  const minInSync = Math.max(1, replicationFactor - 1);
  return { ...topic.config, "min.insync.replicas": String(minInSync) };
}

export function differences(
  topic: Topic,
  found: TopicDescription,
  replicationFactor: number,
): Difference[] {
  const all: Difference[] = [];
  const compare = (setting: string, wanted: string, has: string) => {
    if (wanted !== has) all.push({ setting, wanted, found: has });
  };
  compare("partitions", String(topic.partitions), String(found.partitions));
  compare("replication.factor", String(replicationFactor), String(found.replicationFactor));
  for (const [setting, wanted] of Object.entries(settingsOf(topic, replicationFactor))) {
    compare(setting, wanted, found.config.get(setting) ?? "");
  }
  // A broker that is slow to fetch from there answers with nothing and no error, as where only aborted records stand.
  const remote = found.config.get("remote.storage.enable");
  if (remote === "true") compare("remote.storage.enable", "false", remote);
  return all;
}

/**
 * Refuses to work on topics that are missing or other than declared: on a wrong partition count every
 * aggregate would be sought in the wrong place, and with a wrong cleanup policy its history would go.
 * @throws FatalError `TOPIC_MISSING` or `TOPIC_DRIFT`, naming all of them and the command that mends it
 */
export async function checkTopics(
  log: Log,
  topics: readonly Topic[],
  replicationFactor: number,
): Promise<void> {
  const missing: string[] = [];
  const drifted: string[] = [];
  for (const topic of topics) {
    const found = await log.describeTopic(topic.name);
    if (!found) {
      missing.push(topic.name);
      continue;
    }
    for (const { setting, wanted, found: has } of differences(topic, found, replicationFactor)) {
      drifted.push(`${topic.name}: ${setting} is ${has || "not set"}, should be ${wanted}`);
    }
  }
  if (missing.length > 0) {
    throw new FatalError(
      "TOPIC_MISSING",
      `There is no ${missing.join(", no ")}. Create them: npm run -s foldlog -- topics apply`,
    );
  }
  if (drifted.length > 0) {
    throw new FatalError(
      "TOPIC_DRIFT",
      `The broker's topics are not as the catalog says:\n${drifted.map((it) => `  ${it}`).join("\n")}\n` +
        `See what can be mended: npm run -s foldlog -- topics plan. A partition count is fixed for the ` +
        `life of a namespace; a replication factor is set by FOLDLOG_REPLICATION_FACTOR.`,
    );
  }
}

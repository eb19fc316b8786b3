import type { AggregateTopics } from "../../engine/topic.ts";
import {
  type Canary,
  checkCanaries,
  type Searched,
  searchedFile,
  searchedRecord,
  searchedText,
} from "../../ops/audit/canaries.ts";
import { coordinatesOf } from "../../ops/audit/audited-log.ts";
import { Findings } from "../../ops/audit/findings.ts";
import type { LogReader } from "../../ops/audit/log-reader.ts";
import { ownersBeginWith } from "./load-commands.ts";
import type { Addresses, RunningWorker } from "./system.ts";

/** I16: what workers print and tell, and what dead letters say beside what was sent, holds no secret. */

export interface SecretsOptions {
  readonly addresses: Addresses;
  readonly topics: AggregateTopics;
  readonly log: LogReader;
  readonly workers: readonly RunningWorker[];
  /** Files with what workers have printed. */
  readonly printed: readonly string[];
}

export async function checkSecrets(options: SecretsOptions): Promise<Findings> {
  const findings = new Findings();
  await checkCanaries(canariesOf(options.addresses), placesOf(options), findings);
  return findings;
}

/** What workers are told and must keep to themselves. */
function canariesOf({ databaseUrl, databaseReadUrl }: Addresses): readonly Canary[] {
  const passwords = [databaseUrl, databaseReadUrl].map((url) => new URL(url));
  return [
    ...passwords.map(({ username, password }) => ({
      name: `password of ${username}`,
      text: decodeURIComponent(password),
    })),
    { name: "name of an account's owner", text: ownersBeginWith },
  ];
}

async function* placesOf(options: SecretsOptions): AsyncGenerator<Searched> {
  const { topics, log, workers, printed } = options;
  for (const file of printed) yield searchedFile(file);
  for (const { name, metricsUrl } of workers) {
    const response = await fetch(metricsUrl, { signal: AbortSignal.timeout(5_000) });
    yield searchedText(`${name} /metrics`, await response.text());
  }
  const topic = topics.dlq.name;
  for (let partition = 0; partition < topics.dlq.partitions; partition++) {
    const mark = await log.mark({ topic, partition });
    for await (const { records } of log.topic({ topic, partition }, mark).read("the end")) {
      for (const record of records) {
        const at = coordinatesOf({ topic, partition }, record.offset);
        yield searchedRecord(at, record, "all but its value");
      }
    }
  }
}

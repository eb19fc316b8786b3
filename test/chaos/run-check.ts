import type { Codec } from "../../engine/codec.ts";
import { openDatabase } from "../../engine/postgres/postgres.ts";
import type { AggregateTopics } from "../../engine/topic.ts";
import { accountAudit } from "../../ops/audit/account-audit.ts";
import { audit, type AuditReport } from "../../ops/audit/audit.ts";
import { readSamples } from "../../ops/audit/check-samples.ts";
import { type Findings, invariants, type Violation } from "../../ops/audit/findings.ts";
import { openLogReader } from "../../ops/audit/log-reader.ts";
import type { PositionSample } from "../../ops/audit/samples.ts";
import { readClientHistory } from "../../ops/audit/read-clients.ts";
import { answeredOf } from "./samples.ts";
import type { LoadCounts } from "./load.ts";
import { commitsOf } from "./offset-commits.ts";
import type { InvariantResult } from "./result.ts";
import { checkSecrets } from "./run-secrets.ts";
import type { Addresses, Ending, RunningWorker } from "./system.ts";

/** The checks at the end of a run: those of the audit, and what the run itself has seen. */

export interface CheckOptions {
  readonly addresses: Addresses;
  readonly topics: AggregateTopics;
  readonly codec: Codec;
  readonly counts: LoadCounts;
  readonly endings: readonly Ending[];
  /** What clients saw, and positions, as JSON lines. */
  readonly historyFile: string;
  readonly samplesFile: string;
  readonly workers: readonly RunningWorker[];
  /** Files with what workers have printed. */
  readonly printed: readonly string[];
  readonly onProgress: (records: number) => void;
}

export interface Checked {
  readonly invariants: readonly InvariantResult[];
  /** Commands in the log that the audit found unanswered. */
  readonly waiting: number;
}

export async function check(options: CheckOptions, signal: AbortSignal): Promise<Checked> {
  const { addresses, topics, codec, onProgress, historyFile, samplesFile } = options;
  const clients = await readClientHistory([historyFile], topics.aggregate);
  const brokers = addresses.kafkaBrokers.split(",");
  const log = openLogReader({ brokers, clientId: "chaos-audit", tls: null, sasl: null }, signal);
  const database = openDatabase({
    url: addresses.databaseReadUrl,
    applicationName: "chaos audit",
    maxConnections: 2,
    answerTimeoutMs: 60_000,
  });
  try {
    const commits = await commitsOf(log, `${topics.namespace}.${topics.aggregate}`);
    const report = await audit(
      {
        ...{ aggregate: accountAudit(topics), log, codec, database, expected: null, clients },
        samples: inTime(readSamples(samplesFile), commits),
        onProgress: ({ records }) => {
          onProgress(records);
        },
      },
      signal,
    );
    const secrets = secretsResult(await checkSecrets({ ...options, log }));
    return {
      invariants: [...report.invariants.map(resultOf), secrets, ...ownResults(options)],
      waiting: report.counts.waiting,
    };
  } finally {
    log.close();
    await database.close();
  }
}

/** Both in the order in which they happened; each is in that order already. */
async function* inTime(
  some: AsyncIterable<PositionSample>,
  others: readonly PositionSample[],
): AsyncGenerator<PositionSample> {
  let next = 0;
  for await (const sample of some) {
    for (let other; (other = others[next]) && other.t < sample.t; next++) yield other;
    yield sample;
  }
  yield* others.slice(next);
}

function resultOf({
  violations,
  ...invariant
}: AuditReport["invariants"][number]): InvariantResult {
  return { ...invariant, violations: violations.map(lineOf) };
}

function secretsResult(findings: Findings): InvariantResult {
  return {
    ...{ id: "I16", promise: invariants.I16 },
    ...{ checked: findings.checked("I16"), violated: findings.count("I16") },
    violations: findings.of("I16").map(lineOf),
  };
}

function lineOf({ at, aggregateId, commandId, expected, found }: Violation): string {
  const who = [aggregateId ?? null, commandId ?? null].filter((it) => it !== null).join(" ");
  return `${at} ${who}: expected ${expected}; found ${found}`;
}

/** What only the run itself can tell. */
function ownResults({ counts, endings }: CheckOptions): readonly InvariantResult[] {
  const unwanted = endings.filter(({ isWanted }) => !isWanted);
  return [
    {
      id: "answers",
      promise: "poison is answered with its code, and what is sound never fails",
      checked: answeredOf(counts),
      violated: counts.surprising,
      violations: counts.surprises,
    },
    {
      id: "endings",
      promise: "no process ends but by a fault of the plan",
      checked: endings.length,
      violated: unwanted.length,
      violations: unwanted.map(({ name, how, said }) => `${name} ended (${how}): ${said}`),
    },
  ];
}

import { type Finding, good, mends, orGood, warning, wrong } from "./doctor-finding.ts";
import { count, plural } from "./output.ts";
import type { KafkaFacts } from "./status-facts.ts";
import { type Position, workerProblems, type WorkerStatus } from "./status-workers.ts";

/** Where groups and views are, against where the log begins and ends. Pure. */

type Bounds = KafkaFacts["bounds"];

/** More than a busy worker leaves behind: at a thousand a second, some minutes of work. */
const farBehind = 100_000n;

/** @param brokers for the commands that it names */
export function offsetFindings(
  workers: readonly WorkerStatus[],
  bounds: Bounds,
  brokers: string,
): readonly Finding[] {
  const groups = workers.filter(({ kind }) => kind === "command-processor");
  const tool = (options: string, { group, topic }: WorkerStatus) =>
    `stop ${group}'s workers, then: kafka-consumer-groups.sh --bootstrap-server ${brokers} ` +
    `${options} --group ${group} --topic ${topic}`;
  return groups.flatMap((worker) => {
    const { name, group, topic } = worker;
    const id = `offsets/${name}`;
    const { ahead, lost } = astray(worker, bounds);
    const troubles: Finding[] = [];
    if (ahead.length > 0) {
      troubles.push(
        wrong(id, {
          found: `group ${group} is beyond the end of ${topic}: ${ahead.map(shownAhead).join("; ")}`,
          why: "OFFSETS_AHEAD: to follow the group would skip the commands to come, so the worker ends",
          mend: tool("--delete-offsets", worker),
        }),
      );
    }
    if (lost.length > 0) {
      troubles.push(
        wrong(`${id}/lost`, {
          found: `${topic} begins after where group ${group} is: ${lost.map(shownLost).join("; ")}`,
          why: "COMMANDS_LOST: retention deleted commands that no worker had seen; their senders wait",
          mend: `find out what was lost, then accept it; ${tool("--reset-offsets --to-earliest --execute", worker)}`,
        }),
      );
    }
    return orGood(troubles, progressOf(id, worker));
  });
}

/** A view's checkpoints, a finding a projection. */
export function checkpointFindings(
  workers: readonly WorkerStatus[],
  bounds: Bounds,
): readonly Finding[] {
  const projectors = workers.filter(({ kind }) => kind === "projector");
  return projectors.flatMap((worker) => {
    const { name, topic, positions } = worker;
    const id = `checkpoints/${name}`;
    if (positions === null) {
      const found = "no checkpoints can be read";
      const why = "how far the view is cannot be told, and its projector does not start";
      return [wrong(id, { found, why, mend: mends.migrate })];
    }
    const { ahead, lost } = astray(worker, bounds);
    const anew = `where the data may go: raise the version of ${name}, then ${mends.migrate}`;
    const troubles: Finding[] = [];
    if (ahead.length > 0) {
      troubles.push(
        wrong(id, {
          found: `the view is beyond the end of ${topic}: ${ahead.map(shownAhead).join("; ")}`,
          why: "LOG_TRUNCATED: the log was emptied or created anew, so the view holds what no event says",
          mend: `look at KAFKA_BROKERS: is it the right cluster? Restore the topic; ${anew}`,
        }),
      );
    }
    if (lost.length > 0) {
      troubles.push(
        wrong(`${id}/lost`, {
          found: `${topic} begins after where the view is: ${lost.map(shownLost).join("; ")}`,
          why: "OFFSET_OUT_OF_RANGE: records are gone that the view never had",
          mend: `restore the topic; ${anew}`,
        }),
      );
    }
    return orGood(troubles, progressOf(id, worker));
  });
}

function progressOf(id: string, { lagSum, topic }: WorkerStatus): Finding {
  const found = lagSum === 0n ? `at the end of ${topic}` : `${count(lagSum)} offsets behind`;
  if (lagSum <= farBehind) return good(id, found);
  return warning(id, {
    found,
    why: "answers and views come late, and what is older than retention would be lost",
    mend: "look at the worker: is it ready, and at work? More of its processes share the partitions",
  });
}

interface Astray extends Position {
  readonly start: bigint;
}

function astray(
  { positions, topic }: WorkerStatus,
  bounds: Bounds,
): { readonly ahead: readonly Astray[]; readonly lost: readonly Astray[] } {
  const all = (positions ?? []).map((it) => {
    const start = bounds.get(topic)?.[it.partition]?.start ?? 0n;
    return { ...it, start };
  });
  return {
    ahead: all.filter(({ position, end }) => position !== null && position > end),
    lost: all.filter(({ position, start }) => position !== null && position < start),
  };
}

function shownAhead({ partition, position, end }: Astray): string {
  return `partition ${partition} at ${position}, end ${end}`;
}

function shownLost({ partition, position, start }: Astray): string {
  return `partition ${partition} at ${position}, start ${start}`;
}

/** Who runs what. The positions are judged apart. */
export function memberFindings(workers: readonly WorkerStatus[]): readonly Finding[] {
  const troubles = workers.flatMap((worker) =>
    workerProblems({ ...worker, positions: null }).map((problem) =>
      wrong(`members/${worker.name}`, {
        found: problem.replace(/: npm run .*$/, ""),
        why: worker.kind === "projector" ? "its view grows old" : "commands wait unanswered",
        mend: `npm run -s foldlog -- run ${worker.name}`,
      }),
    ),
  );
  const whole = `${plural(workers.length, "worker")}, every partition somebody's`;
  return orGood(troubles, good("members", whole));
}

export function deadLetterFindings({
  deadLetters,
}: Pick<KafkaFacts, "deadLetters">): readonly Finding[] {
  const troubles = [...deadLetters]
    .filter(([, it]) => it.count > 0)
    .map(([topic, it]) =>
      warning(`dead-letters/${topic}`, {
        found: `${plural(it.count, "dead letter")}${it.isMore ? " and more" : ""}`,
        why: "each is a command that nobody could process, and whose sender was told so",
        mend: "npm run -s foldlog -- dlq list",
      }),
    );
  return orGood(troubles, good("dead-letters", "none"));
}

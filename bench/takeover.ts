import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { bankOnLog } from "../test/bank-on-log.ts";
import { type Fault, parsePlan } from "../test/chaos/plan.ts";
import { type ProcessSystem, startProcesses } from "../test/chaos/processes/system.ts";
import { consumed, fill, firstAnswers } from "../test/first-answers.ts";

/**
 * How long a partition is without a worker, by the length of the log: of two workers one is killed with SIGKILL, and
 * stays dead. The other waits for the end of its session (10 s), and restores what it has no local store of.
 */
const help = `\
npm run -s bench:takeover -- [--events 20000,300000]

Brings up a bank as processes with two command processors, gives it so many events, kills one of the two, and prints
when each of its partitions answers a command again, in seconds after the kill. Once for each length of the log.
`;

const { values } = parseArgs({
  options: {
    events: { type: "string", default: "20000,300000" },
    help: { type: "boolean", default: false },
  },
});

async function run(events: number): Promise<void> {
  const { signal } = new AbortController();
  const folder = mkdtempSync(join(tmpdir(), "foldlog-takeover-"));
  const onStep = (step: string) => process.stderr.write(`${step}\n`);
  const system = await startProcesses({ plan: twoWorkers(), folder, onStep }, signal);
  const { addresses, bank: own } = system;
  const bank = await bankOnLog({ ...addresses, clientId: "bench" }, own.topics, signal);
  try {
    await fill(bank, events);
    await consumed(bank, 600_000);
    const producer = await bank.log.openProducer();
    const theirs = await partitionsOf(system, "account/1");
    await system.begin(kill);
    const killedAt = Date.now();
    const answers = await firstAnswers(bank, theirs, producer);
    await producer.close();
    const seconds = [...answers.values()].map((at) => (at - killedAt) / 1_000);
    const shown = seconds.sort((a, b) => a - b).map((it) => it.toFixed(1));
    process.stdout.write(`${events} events; seconds after the kill: ${shown.join(" ")}\n`);
  } finally {
    await bank.log.close();
    await system.stop();
    rmSync(folder, { recursive: true });
  }
}

const kill: Fault = { id: "F1", at: 0, for: 0, does: "kill", target: "account/1" };

function twoWorkers() {
  return parsePlan({
    name: "takeover",
    about: "Of two command processors one is killed.",
    load: { rate: 1, for: 1, accounts: 1, mix: {} },
    workers: { account: 2 },
    faults: [kill],
    on: ["processes"],
  });
}

/** Which partitions a worker has, by its metrics. */
async function partitionsOf(system: ProcessSystem, name: string): Promise<readonly number[]> {
  const url = system.workers().find((it) => it.name === name)?.metricsUrl ?? "";
  const text = await (await fetch(url)).text();
  const lags = text.matchAll(/^foldlog_command_lag_records\{.*partition="(\d+)".*\}/gm);
  return [...lags].map(([, partition]) => Number(partition));
}

if (values.help) process.stdout.write(help);
else for (const events of values.events.split(",")) await run(Number(events));

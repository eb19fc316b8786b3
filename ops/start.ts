import { relative } from "node:path";
import {
  addresses,
  apiUrl,
  type Application,
  applicationRoles,
  startApplication,
  startDemo,
  workers,
  workerUrl,
} from "./stack/application.ts";
import { type Checklist, checklistOn } from "./stack/checklist.ts";
import { type Child, lastLines } from "./stack/child.ts";
import { writeEnvFile } from "./stack/env-file.ts";
import { flag, helpFlag, readFlags, wrongUsage } from "./stack/flags.ts";
import { type Folder, openFolder } from "./stack/folder.ts";
import { takeLock } from "./stack/lock.ts";
import { ensureParts } from "./stack/parts.ts";
import { requireFree } from "./stack/ports.ts";
import { endRunning, runningIn } from "./stack/running.ts";
import { loadSettings, portClaims, type Settings, settingsHelp } from "./stack/settings.ts";
import { exitCodeOf, explain, SetupError } from "./stack/setup-error.ts";
import { startStack } from "./stack/stack.ts";
import { type Stop, StopRequest, stopOnSignals } from "./stack/stop.ts";

const help = `\
npm start -- [options]

Brings up the bank on this machine: Kafka, a schema registry, Postgres, and the bank's workers. Downloads
what it needs on the first run, keeps all data in .foldlog/, and stays up until Ctrl-C.

  --demo          also sends a gentle load, so that there is something to see
  --infra-only    Kafka, registry and Postgres only: no topics, no schemas, no workers
  --help          this text

Settings, from the environment:
${settingsHelp()}

Exit codes: 0 stopped in good order, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C and had to kill.
`;

const helpCommand = "npm start -- --help";

interface Flags {
  readonly demo: boolean;
  readonly infraOnly: boolean;
}

/** Everything that a stop must have done by then, in milliseconds; the promise is 15 s. */
const stopBudgetMs = 14_000;

process.exitCode = await main();

async function main(): Promise<number> {
  const checklist = checklistOn(process.stderr, process.env);
  // A terminal that was closed takes no more lines; the stop goes on without them.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
  try {
    const flags = flagsOf(process.argv.slice(2));
    if (flags === "help") {
      process.stdout.write(help);
      return 0;
    }
    const names = flags.infraOnly ? [] : workers;
    const settings = loadSettings(process.env, names);
    const folder = openFolder(settings.dir);
    const release = takeLock(folder, "npm start");
    try {
      return await runUntilStopped(folder, settings, flags, checklist);
    } finally {
      release();
    }
  } catch (error) {
    checklist.line(`\n${explain(error)}`);
    return exitCodeOf(error);
  }
}

/** Brings everything up, waits, and takes everything down again, whatever went wrong on the way. */
async function runUntilStopped(
  folder: Folder,
  settings: Settings,
  flags: Flags,
  checklist: Checklist,
): Promise<number> {
  const stop = stopOnSignals(folder, () => {
    checklist.line("\nStopping. Ctrl-C again kills everything at once.");
  });
  try {
    await bringUp({ folder, settings, flags, checklist, stop });
    await stop.requested();
  } catch (error) {
    stop.begin(error);
  }
  const reason: unknown = stop.signal.reason;
  if (!(reason instanceof StopRequest)) checklist.line(`\n${explain(reason)}\n`);

  const startedMs = Date.now();
  const ended = await endRunning(folder.run, stopBudgetMs);
  const killed = ended.filter(({ how }) => how === "killed").map(({ name }) => name);
  if (killed.length > 0) {
    checklist.line(`Did not stop in time, and were killed: ${killed.join(", ")}.`);
  }
  if (ended.length > 0) {
    checklist.line(`Stopped in ${((Date.now() - startedMs) / 1000).toFixed(1)} s.`);
  }
  if (!(reason instanceof StopRequest)) return exitCodeOf(reason);
  if (killed.length === 0) return 0;
  return reason.by === "SIGINT" ? 130 : 1;
}

interface Run {
  readonly folder: Folder;
  readonly settings: Settings;
  readonly flags: Flags;
  readonly checklist: Checklist;
  readonly stop: Stop;
}

async function bringUp({ folder, settings, flags, checklist, stop }: Run): Promise<void> {
  const startedMs = Date.now();
  const { signal } = stop;
  await endLeftovers(folder, checklist);
  const claims = portClaims(settings, flags.infraOnly ? [] : workers);
  await requireFree(claims, folder.dir);

  const { env } = process;
  const parts = await ensureParts(folder, { partsDir: folder.parts, checklist, signal, env });
  const { ports, metricsPort, apiPort } = settings;
  const stack = await startStack({
    ...{ folder, parts, ports, checklist, signal },
    keeps: "lasting",
    roles: applicationRoles,
  });
  for (const child of stack.children) void stopWith(child, stop);

  const app: Application = { folder, stack, metricsPort, apiPort, checklist, signal };
  if (!flags.infraOnly) await startApplication(app);
  if (flags.demo) startDemo(app);
  writeEnvFile(folder.env, addresses(app));
  const seconds = ((Date.now() - startedMs) / 1000).toFixed(1);
  process.stdout.write(`\nReady in ${seconds} s.\n\n${overview(app, settings, flags)}`);
}

async function endLeftovers(folder: Folder, checklist: Checklist): Promise<void> {
  if (runningIn(folder.run).length === 0) return;
  await checklist.step("Left running by a starter that was killed", async (say) => {
    const ended = await endRunning(folder.run, stopBudgetMs);
    say(`ended ${ended.map(({ name }) => name).join(", ")}`);
  });
}

/** The bank cannot do without its broker, registry or database: when one of them ends, all do. */
async function stopWith(child: Child, stop: Stop): Promise<void> {
  const { how } = await child.ended;
  stop.begin(
    new SetupError(`${child.name} ended by itself (${how}), so everything stops. Its last lines:`, {
      next: `The whole log: ${child.logFile}\nAll data is kept: start again with \`npm start\`.`,
      evidence: lastLines(child.output()),
    }),
  );
}

function overview(app: Application, { ports }: Settings, flags: Flags): string {
  const { stack, folder, metricsPort, apiPort } = app;
  const rows = [
    ...(flags.infraOnly ? [] : [["HTTP", apiUrl(apiPort)]]),
    ["Kafka", stack.brokers],
    ["Schema registry", stack.registryUrl],
    ["Postgres", `127.0.0.1:${ports.postgres}, database foldlog`],
    ...(flags.infraOnly ? [] : workers).map((name, i) => [
      `Worker ${name}`,
      `${workerUrl(metricsPort, i)}/metrics`,
    ]),
    ["Addresses", `${relative(process.cwd(), folder.env)}, with passwords, for \`source\``],
    ["Logs", relative(process.cwd(), folder.logs)],
  ];
  const table = rows.map(([name = "", value = ""]) => `  ${name.padEnd(23)}${value}\n`).join("");
  const tries = flags.infraOnly ? "" : `Try:  npm run -s foldlog -- produce --rate 20 --for 10s\n`;
  return `${table}\n${tries}Stop: Ctrl-C\n`;
}

function flagsOf(args: readonly string[]): Flags | "help" {
  const options = { demo: flag, "infra-only": flag, help: helpFlag } as const;
  const values = readFlags(args, options, helpCommand);
  if (values.help) return "help";
  const flags = { demo: values.demo, infraOnly: values["infra-only"] };
  if (flags.demo && flags.infraOnly) {
    throw wrongUsage("--demo needs the workers that --infra-only leaves out.", helpCommand);
  }
  return flags;
}

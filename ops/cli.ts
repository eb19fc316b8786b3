import { readFileSync } from "node:fs";
import { enableCompileCache } from "node:module";
import { fileURLToPath } from "node:url";
import { Command, CommanderError } from "commander";
import { exitCode, explained } from "./verbs/outcome.ts";

/**
 * `npm run -s foldlog -- VERB`: dispatch only. A verb's module is loaded when its verb is asked for, so that
 * `--help` comes at once; it exports one function that adds its command, with options and help, to the program.
 */

type AddCommand = (program: Command) => void;

interface Verb {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<AddCommand>;
}

/** In the order in which `--help` shows them. */
const verbs: readonly Verb[] = [
  {
    name: "status",
    summary: "what is reachable, how far each worker is, and what is wrong",
    load: async () => (await import("./verbs/status.ts")).statusCommand,
  },
  {
    name: "doctor",
    summary: "examine everything, and say what mends what is wrong",
    load: async () => (await import("./verbs/doctor.ts")).doctorCommand,
  },
  {
    name: "produce",
    summary: "send commands from a file, or make load, and wait for the answers",
    load: async () => (await import("./verbs/produce.ts")).produceCommand,
  },
  {
    name: "show",
    summary: "an aggregate: its state, its version and its events",
    load: async () => (await import("./verbs/show.ts")).showCommand,
  },
  {
    name: "sql",
    summary: "ask the views, read only",
    load: async () => (await import("./verbs/sql.ts")).sqlCommand,
  },
  {
    name: "dlq",
    summary: "list, show and replay dead letters",
    load: async () => (await import("./verbs/dlq.ts")).dlqCommand,
  },
  {
    name: "audit",
    summary: "check that the log and the views keep their promises",
    load: async () => (await import("./verbs/audit.ts")).auditCommand,
  },
  {
    name: "topics",
    summary: "compare the broker's topics with the catalog, and mend them",
    load: async () => (await import("./verbs/topics.ts")).topicsCommand,
  },
  {
    name: "schemas",
    summary: "compare the registry with the repository, and register what is new",
    load: async () => (await import("./verbs/schemas.ts")).schemasCommand,
  },
  {
    name: "migrate",
    summary: "prepare the database: migrations, roles, tables and views",
    load: async () => (await import("./verbs/migrate.ts")).migrateCommand,
  },
  {
    name: "run",
    summary: "run workers in this process until Ctrl-C",
    load: async () => (await import("./verbs/run.ts")).runCommand,
  },
];

const helpAfter = `
"foldlog" stands for "npm run -s foldlog --" here. Help on a verb: foldlog VERB --help

Settings come from the environment. Those that are not set are taken from .foldlog/env (or from env in the
folder that FOLDLOG_DIR names), which npm start writes; a variable that is set wins.

Exit codes: 0 good, 1 failed, 2 wrong usage or settings, 3 not found, 4 conflict, 5 something is away,
130 Ctrl-C.

Example:
  npm run -s foldlog -- status`;

const packageFile = import.meta.resolve("foldlog/package.json");

for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit(exitCode.failed); // Whoever read this, as `head` does, wants no more of it.
  });
}
// Loading a verb takes half of its time otherwise. Where the folder cannot be written to, nothing is cached.
enableCompileCache(fileURLToPath(new URL("node_modules/.cache/foldlog", packageFile)));
await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<void> {
  try {
    const program = await programFor(verbOf(args));
    await program.parseAsync(args[0] === "help" ? asHelpFlag(args) : [...args], { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) {
      // Commander has said what is wrong, or shown the help that was asked for.
      process.exitCode = error.exitCode === 0 ? exitCode.ok : exitCode.usage;
      return;
    }
    const { text, code } = explained(error);
    process.stderr.write(`${text}\n`);
    process.exitCode = code;
  }
}

/** `foldlog help dlq list` is `foldlog dlq list --help`. */
function asHelpFlag([, ...path]: readonly string[]): string[] {
  return [...path, "--help"];
}

function verbOf(args: readonly string[]): string | undefined {
  return (args[0] === "help" ? args.slice(1) : args).find((it) => !it.startsWith("-"));
}

/** The program with the wanted verb whole; of the others only what the list of verbs and suggestions need. */
async function programFor(wanted: string | undefined): Promise<Command> {
  const program = new Command("foldlog")
    .description(
      "Sends commands, looks at aggregates, views and dead letters, and prepares what they need.",
    )
    .version(version(), "-V, --version", "show the version")
    .helpOption("-h, --help", "show help")
    .helpCommand(false)
    .exitOverride()
    .showHelpAfterError("All there is: foldlog --help")
    .configureOutput({
      outputError: (text, write) => {
        write(text.replace(/^error: /, "Wrong usage: "));
      },
    })
    .addHelpText("after", helpAfter);
  for (const { name, summary, load } of verbs) {
    if (name === wanted) (await load())(program);
    else program.command(name).summary(summary).allowExcessArguments(false);
  }
  return program;
}

function version(): string {
  return (JSON.parse(readFileSync(new URL(packageFile), "utf8")) as { version: string }).version;
}

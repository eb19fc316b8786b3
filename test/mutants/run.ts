import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { judgeAll, type Judged, kinds } from "./judging.ts";
import { mutants } from "./mutants.ts";

const help = `npm run mutants -- [NAME…]

Puts one bug after the other into the engine and shows that the tests find it. Every test that is to find one passes on
the engine as it is, before and after; between that each runs on an engine with the bug in it, in a process of its own.

  NAME        only these mutants; a name that ends in * is all that begin so
  --list      names the mutants, what each breaks and what is to kill it
  --help      this

Ends with 1 where a mutant survives: then the tests have a hole, or the bug breaks nothing.`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { list: { type: "boolean" }, help: { type: "boolean" } },
  });
  if (values.help === true) {
    console.log(help);
    return 0;
  }
  const chosen = positionals.length === 0 ? mutants : positionals.flatMap(named);
  if (values.list === true) {
    for (const { name, breaks, killedBy } of chosen) {
      console.log(`${name}\n    ${breaks}\n    killed by ${kinds(killedBy)}`);
    }
    return 0;
  }
  const ending = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.once(name, () => {
      ending.abort(new Error(`Ended by ${name}`));
    });
  }
  const lanes = Math.min(2, availableParallelism());
  const judged = await judgeAll([...new Set(chosen)], { lanes, onLine: say }, ending.signal);
  console.log(table(judged));
  return judged.every(({ verdict }) => verdict === "killed") ? 0 : 1;
}

function named(name: string) {
  const found = name.endsWith("*")
    ? mutants.filter((it) => it.name.startsWith(name.slice(0, -1)))
    : mutants.filter((it) => it.name === name);
  if (found.length === 0) {
    throw new Error(`There is no mutant "${name}"; npm run mutants -- --list names them all.`);
  }
  return found;
}

function say(line: string): void {
  console.log(line);
}

function table(judged: readonly Judged[]): string {
  const rows = judged.map(({ mutant, verdict, finding, seconds }) => [
    mutant.name,
    verdict === "killed" ? kinds(mutant.killedBy) : verdict.toUpperCase(),
    finding,
    seconds.toFixed(1),
  ]);
  const head = ["mutant", "killed by", "test or seed", "seconds"];
  const widths = head.map((_, i) =>
    Math.min(60, Math.max(...[head, ...rows].map((row) => (row[i] ?? "").length))),
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => cell.slice(0, 60).padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd();
  const left = judged.filter(({ verdict }) => verdict !== "killed").length;
  const end = left === 0 ? "All are killed." : `${left} of ${judged.length} are NOT killed.`;
  return ["", line(head), ...rows.map(line), "", end].join("\n");
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}

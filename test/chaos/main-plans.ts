import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { messageOf } from "../../engine/errors.ts";
import { wrongUsage } from "../../ops/verbs/outcome.ts";
import { parsePlan, type Plan } from "./plan.ts";

/** A plan and where it stands. */
export interface PlanFile {
  /** As it is typed. */
  readonly file: string;
  readonly plan: Plan;
}

const catalogueDir = join(import.meta.dirname, "catalogue");

/** @throws CliError where it cannot be read, is no plan, or is not for processes */
export function readPlan(file: string, seed: number | null): PlanFile {
  try {
    const plan = parsePlan(JSON.parse(readFileSync(file, "utf8")));
    if (!plan.on.includes("processes")) {
      throw new Error(`It says that it is for ${plan.on.join(" and ")}, not for processes`);
    }
    return { file, plan: seed === null ? plan : { ...plan, seed } };
  } catch (error) {
    throw wrongUsage(`${file}: ${messageOf(error)}`, "What a plan may say: test/chaos/plan.ts");
  }
}

/** Every plan of the catalogue that processes can run, in the order of the faults' numbers. */
export function catalogue(seed: number | null): readonly PlanFile[] {
  const files = readdirSync(catalogueDir).filter((file) => file.endsWith(".json"));
  return files
    .toSorted((a, b) => a.localeCompare(b, "en", { numeric: true }))
    .map((name) => relative(process.cwd(), join(catalogueDir, name)))
    .filter((file) => isForProcesses(file))
    .map((file) => readPlan(file, seed));
}

function isForProcesses(file: string): boolean {
  const { on } = JSON.parse(readFileSync(file, "utf8")) as { readonly on?: readonly string[] };
  return on?.includes("processes") === true;
}

/**
 * The plans of these faults, in the order given: `F5` is `F05.json` and `F05-….json`, and every plan that has a fault
 * of that name where no file is named so.
 * @throws CliError that names each fault without a plan
 */
export function plansOf(ids: readonly string[], all: readonly PlanFile[]): readonly PlanFile[] {
  const missing = ids.filter((id) => plansFor(id, all).length === 0);
  if (missing.length > 0) {
    throw wrongUsage(
      `No plan of the catalogue is for ${missing.join(", ")}.`,
      "What there is: npm run chaos -- --catalogue --list",
    );
  }
  return [...new Set(ids.flatMap((id) => plansFor(id, all)))];
}

function plansFor(id: string, all: readonly PlanFile[]): readonly PlanFile[] {
  const named = all.filter(({ file }) => {
    const name = (file.split("/").at(-1) ?? "").toLowerCase();
    const padded = id.toLowerCase().replace(/^f(?=\d$)/, "f0?");
    return new RegExp(`^${padded}(?=[-.])`).test(name);
  });
  if (named.length > 0) return named;
  return all.filter(({ plan }) => plan.faults.some((fault) => fault.id === id));
}

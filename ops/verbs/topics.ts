import type { Command } from "commander";
import { messageOf } from "../../engine/errors.ts";
import type { Log } from "../../engine/log.ts";
import { apply, plan, type PlannedTopic } from "../../engine/topic-plan.ts";
import { catalog } from "../../topics/catalog.ts";
import { isAgreed } from "./confirm.ts";
import { withLog } from "./connect.ts";
import { CliError, type ExitCode, exitCode, exitsWith } from "./outcome.ts";
import { plural, print, printJson, say } from "./output.ts";
import { readSettings, settingsHelp } from "./settings.ts";

interface Options {
  readonly json?: boolean;
  readonly yes?: boolean;
}

export function topicsCommand(program: Command): void {
  const topics = program
    .command("topics")
    .helpCommand(false)
    .summary("compare the broker's topics with the catalog, and mend them")
    .description("Compares the broker's topics with topics/catalog.ts, and mends them.");
  topics
    .command("plan")
    .summary("show what apply would do")
    .description("Shows what apply would do: what is missing, and what differs. Changes nothing.")
    .option("--json", "one JSON object a topic")
    .addHelpText("after", helpAfter("topics plan"))
    .action(exitsWith(planTopics));
  topics
    .command("apply")
    .summary("create and alter topics")
    .description(
      "Creates what is missing and sets settings right. Never deletes a topic and never changes the " +
        "number of its partitions.",
    )
    .option("--yes", "do not ask")
    .option("--json", "one JSON object a topic")
    .addHelpText("after", helpAfter("topics apply --yes"))
    .action(exitsWith(applyTopics));
}

function helpAfter(example: string): string {
  return `
FOLDLOG_REPLICATION_FACTOR is the number of replicas, 3 where it is not set; a single broker can keep 1.
${settingsHelp}

Exit codes: 4 where a topic differs in what cannot be changed in place.

Example:
  npm run -s foldlog -- ${example}`;
}

async function planTopics({ json = false }: Options): Promise<ExitCode> {
  const { config } = readSettings(["KAFKA_BROKERS"]);
  const planned = await withLog(config, (log) => plan(log, catalog, config.replicationFactor));
  for (const it of planned) show(it, json);
  if (!json) print(planSummary(planned));
  for (const line of refusalHints(planned)) say(line);
  return codeOf(planned);
}

async function applyTopics({ json = false, yes = false }: Options): Promise<ExitCode> {
  const { config } = readSettings(["KAFKA_BROKERS"]);
  return withLog(config, async (log) => {
    const planned = await plan(log, catalog, config.replicationFactor);
    for (const it of planned) show(it, json);
    const changes = planned.filter(({ action }) => action === "create" || action === "alter");
    const question = `Create or alter ${plural(changes.length, "topic")}?`;
    if (changes.length > 0 && !(await isAgreed(question, yes))) {
      say("Nothing was changed.");
      return exitCode.failed;
    }
    await carryOut(log, changes, config.replicationFactor);
    for (const line of refusalHints(planned)) say(line);
    if (!json) print(applySummary(planned));
    return codeOf(planned);
  });
}

async function carryOut(
  log: Log,
  changes: readonly PlannedTopic[],
  replicationFactor: number,
): Promise<void> {
  for (const it of changes) {
    try {
      await apply(log, [it], replicationFactor);
    } catch (error) {
      const verb = it.action === "create" ? "created" : "altered";
      const why = reasonOf(error);
      throw new CliError(exitCode.failed, `${it.topic.name} could not be ${verb}: ${why}`, {
        cause: error,
        ...(/replication/i.test(why) && {
          next: `It asks for ${plural(replicationFactor, "replica")}. Set FOLDLOG_REPLICATION_FACTOR to at most the number of brokers.`,
        }),
      });
    }
  }
}

/** kafkajs hides what the broker said of each topic in a list. */
function reasonOf(error: unknown): string {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { errors } = at as Error & { errors?: unknown };
    if (Array.isArray(errors) && errors.length > 0) return errors.map(messageOf).join("; ");
  }
  return messageOf(error);
}

function show(it: PlannedTopic, json: boolean): void {
  const { topic, action, differences } = it;
  if (json) {
    printJson({ topic: topic.name, action, differences });
    return;
  }
  print(`${signs[action]} ${topic.name.padEnd(26)}${meanings[action]}`);
  for (const { setting, wanted, found } of differences) {
    print(`    ${setting}: is ${found === "" ? "not set" : found}, should be ${wanted}`);
  }
}

const signs: Readonly<Record<PlannedTopic["action"], string>> = {
  create: "+",
  alter: "~",
  keep: "=",
  refuse: "!",
};

const meanings: Readonly<Record<PlannedTopic["action"], string>> = {
  create: "is missing: to be created",
  alter: "differs: settings to be changed",
  keep: "is as it should be",
  refuse: "differs in what cannot be changed in place: left as it is",
};

/** What can be done about what cannot be mended in place. */
export function refusalHints(planned: readonly PlannedTopic[]): readonly string[] {
  const refused = planned.filter(({ action }) => action === "refuse");
  const foundFor = (setting: string) =>
    refused.flatMap(({ differences }) => differences.find((it) => it.setting === setting) ?? [])[0];
  const replicas = foundFor("replication.factor");
  const hints: string[] = [];
  if (replicas !== undefined) {
    hints.push(
      `Replicas are moved by Kafka's own kafka-reassign-partitions. Should ${replicas.found} be right, set ` +
        `FOLDLOG_REPLICATION_FACTOR=${replicas.found}.`,
    );
  }
  if (foundFor("partitions") !== undefined) {
    hints.push(
      "The number of partitions is fixed for the life of a namespace: with another, every aggregate would " +
        "be sought in the wrong place.",
    );
  }
  return hints;
}

function numbers(
  planned: readonly PlannedTopic[],
): Readonly<Record<PlannedTopic["action"], number>> {
  const of = (action: PlannedTopic["action"]) =>
    planned.filter((it) => it.action === action).length;
  return { create: of("create"), alter: of("alter"), keep: of("keep"), refuse: of("refuse") };
}

/** Of a plan, for people. */
export function planSummary(planned: readonly PlannedTopic[]): string {
  const { create, alter, refuse } = numbers(planned);
  if (create + alter + refuse === 0) return `${plural(planned.length, "topic")} as they should be`;
  const parts = [`${create} to create`, `${alter} to alter`, `${refuse} that cannot be mended`];
  const next = create + alter > 0 ? "\nTo do so: npm run -s foldlog -- topics apply" : "";
  return `${plural(planned.length, "topic")}: ${parts.join(", ")}${next}`;
}

/** Of a plan that was carried out, in a few words: `npm start` shows it. */
export function applySummary(planned: readonly PlannedTopic[]): string {
  const { create, alter, refuse } = numbers(planned);
  if (create + alter + refuse === 0) return `${plural(planned.length, "topic")} as they should be`;
  const parts = [
    create > 0 ? [`${create} created`] : [],
    alter > 0 ? [`${alter} altered`] : [],
    refuse > 0 ? [`${refuse} that cannot be mended`] : [],
  ];
  return `${plural(planned.length, "topic")}: ${parts.flat().join(", ")}`;
}

function codeOf(planned: readonly PlannedTopic[]): ExitCode {
  const isRefused = planned.some(({ action }) => action === "refuse");
  return isRefused ? exitCode.conflict : exitCode.ok;
}

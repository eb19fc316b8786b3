import type { Command } from "commander";
import type { Codec } from "../../engine/codec.ts";
import type { Reply } from "../../engine/generated.ts";
import type { Log } from "../../engine/log.ts";
import { Conversation } from "../../engine/sending/conversation.ts";
import type { AggregateTopics } from "../../engine/topic.ts";
import { isAgreed } from "./confirm.ts";
import { codecFor, withLog } from "./connect.ts";
import {
  coordinatesIn,
  type DeadLetter,
  readDeadLetter,
  readDeadLetters,
  shownCoordinates,
  supersededIn,
  topicsOfWorker,
} from "./dead-letters.ts";
import { durationOption } from "./duration.ts";
import { earlierAnswers } from "./earlier-answers.ts";
import { type ExitCode, exitCode, exitsWith, wrongUsage } from "./outcome.ts";
import { count, oneLine, plural, print, printJson, say, shownId } from "./output.ts";
import { inOriginalOrder, type Replay, replayOf } from "./replay.ts";
import { readSettings, settingsHelp } from "./settings.ts";

interface Options {
  readonly worker: string;
  readonly all?: boolean;
  readonly code?: string;
  readonly dryRun?: boolean;
  readonly newId?: boolean;
  readonly yes?: boolean;
  readonly timeout: number;
  readonly json?: boolean;
}

export function addReplay(dlq: Command): void {
  dlq
    .command("replay")
    .summary("send dead letters again, once their cause is gone")
    .description(
      "Sends the original bytes of dead letters again, to the partition where their key belongs, and shows " +
        "the answers. What would fail again for certain is refused with the reason.",
    )
    .argument("[partition/offset...]", "as dlq list shows them, for example 3/17 5/2")
    .option("--worker <name>", "whose", "account")
    .option("--all", "every dead letter that has not come back since")
    .option("--code <code>", "with --all: only those with this error code")
    .option("--dry-run", "show what would be sent, and send nothing")
    .option("--new-id", "send them under new command ids, once the old ids have expired")
    .option("--yes", "do not ask")
    .option("--timeout <time>", "give up when nothing is heard for so long", durationOption, 30_000)
    .option("--json", "one JSON object a dead letter")
    .addHelpText("after", helpAfter)
    .action(exitsWith(replay));
}

const helpAfter = `
A replay keeps the command id, so a command that was answered meanwhile gets its answer again and is not done
twice. An id that is older than what the worker remembers is answered EXPIRED: then --new-id derives another
one from the dead letter's coordinates, unless the replies show that the old one had its answer.
The dead letter stays where it is until its topic's retention takes it.
${settingsHelp}

Exit codes: 1 where one was refused, failed again or stayed unanswered; 3 where there is no such dead letter.

Examples:
  npm run -s foldlog -- dlq replay 3/17
  npm run -s foldlog -- dlq replay --all --code WRONG_PARTITION --dry-run`;

interface Work {
  readonly log: Log;
  readonly codec: Codec;
  readonly topics: AggregateTopics;
  readonly options: Options;
}

async function replay(names: readonly string[], options: Options): Promise<ExitCode> {
  const { all = false, code } = options;
  if (all === names.length > 0) throw wrongUsage("Name dead letters, as 3/17, or say --all.");
  if (code !== undefined && !all) throw wrongUsage("--code goes with --all.");
  const chosen = names.map(coordinatesIn);
  const topics = topicsOfWorker(options.worker);
  const { config } = readSettings(["KAFKA_BROKERS", "SCHEMA_REGISTRY_URL"]);
  return withLog(config, async (log) => {
    const codec = await codecFor(config, [topics.commands, topics.replies]);
    const work: Work = { log, codec, topics, options };
    const letters: DeadLetter[] = [];
    for (const at of chosen) letters.push(await readDeadLetter(log, topics, at));
    if (all) letters.push(...(await notComeBack(work)));
    const plan = await planOf(work, inOriginalOrder(letters));
    return carryOut(work, plan);
  });
}

/** Those that were not replayed yet, or not in vain. */
async function notComeBack({ log, topics, options }: Work): Promise<readonly DeadLetter[]> {
  const letters: DeadLetter[] = [];
  for await (const some of readDeadLetters(log, topics)) letters.push(...some);
  const superseded = supersededIn(letters, topics);
  return letters
    .filter((it) => !superseded.has(shownCoordinates(it)))
    .filter((it) => options.code === undefined || it.code === options.code);
}

async function planOf(
  { log, codec, topics, options }: Work,
  letters: readonly DeadLetter[],
): Promise<readonly Replay[]> {
  await codec.learn(
    letters.map(({ record }) => record.value),
    new AbortController().signal,
  );
  const ids = options.newId ? "new" : "kept";
  const plan = letters.map((letter) => replayOf(letter, { topics, codec, ids }));
  if (ids === "kept") return plan;
  const { answers, oldest } = await earlierAnswers({ log, codec, topics }, plan);
  return plan.map((it) => {
    if (it.kind === "refuse") return it;
    const answer = answers.get(it);
    if (answer === undefined) {
      const isForgotten = oldest !== null && it.letter.record.timestamp < oldest.getTime();
      if (isForgotten) {
        say(
          `${shownCoordinates(it.letter)} is older than the replies, which reach back to ` +
            `${oldest.toISOString()}: whether ${shownId(it.oldId)} was answered meanwhile, nobody can tell.`,
        );
      }
      return it;
    }
    const reason =
      `its command ${shownId(it.oldId)} was answered ${saidBy(answer)}: under a new id it would be done ` +
      "again. Without --new-id it gets that answer";
    return { kind: "refuse", letter: it.letter, reason };
  });
}

async function carryOut(work: Work, plan: readonly Replay[]): Promise<ExitCode> {
  const { topics, options } = work;
  const { json = false, yes = false, dryRun = false } = options;
  const sends = plan.filter((it) => it.kind === "send");
  for (const it of plan) if (!json || it.kind === "refuse" || dryRun) show(it, json);
  const refused = plan.length - sends.length;
  if (plan.length === 0) say(`There is nothing to replay in ${topics.dlq.name}.`);
  if (dryRun) {
    say(`Nothing was sent: ${count(sends.length)} would be, ${count(refused)} would be refused.`);
    return refused > 0 ? exitCode.failed : exitCode.ok;
  }
  if (sends.length === 0) return refused > 0 ? exitCode.failed : exitCode.ok;
  if (!(await isAgreed(`Send ${plural(sends.length, "command")} again?`, yes))) {
    say("Nothing was sent.");
    return exitCode.failed;
  }
  const { failed, unanswered } = await sendAll(work, sends);
  return failed + unanswered + refused > 0 ? exitCode.failed : exitCode.ok;
}

type Send = Extract<Replay, { kind: "send" }>;

async function sendAll({ log, codec, topics, options }: Work, sends: readonly Send[]) {
  const { json = false } = options;
  let failed = 0;
  const conversation = await Conversation.open<Send>({
    log,
    codec,
    aggregates: [topics],
    replies: "awaited",
    silenceMs: options.timeout,
    onTrouble: (message) => {
      say(`Sending again: ${message}`);
    },
    onAnswer: ({ outgoing, reply }) => {
      if (reply.outcome === "failed") failed += 1;
      showAnswer(outgoing, reply, json);
    },
  });
  try {
    for (const send of sends) {
      if (!conversation.hasRoom) await conversation.room();
      conversation.send(send);
    }
    await conversation.settled();
    const { unanswered } = conversation;
    if (unanswered > 0) {
      say(`${count(unanswered)} unanswered. Is a worker running? npm run -s foldlog -- status`);
    }
    return { failed, unanswered };
  } finally {
    await conversation.close();
  }
}

function show(it: Replay, json: boolean): void {
  const at = shownCoordinates(it.letter);
  if (it.kind === "refuse") {
    if (json) printJson({ at, action: "refuse", reason: it.reason });
    else print(`${at}  refused: ${oneLine(it.reason)}`);
    return;
  }
  const { type, aggregateId, commandId, record } = it;
  const { topic, partition } = record;
  if (json) printJson({ at, action: "send", type, aggregateId, commandId, topic, partition });
  else
    print(
      `${at}  ${type} ${shownId(commandId)} on ${shownId(aggregateId)} to ${topic}/${partition}`,
    );
}

function showAnswer({ letter, commandId }: Send, reply: Reply, json: boolean): void {
  const at = shownCoordinates(letter);
  const { outcome, version, reason, duplicate } = reply;
  if (json) printJson({ at, action: "sent", commandId, outcome, version, reason, duplicate });
  else print(`${at}  ${saidBy(reply)}${duplicate ? ", as before" : ""}`);
  if (reason === "EXPIRED" && !json) {
    print(
      `      its id is too old to tell whether it ran already; to run it under a new one: --new-id`,
    );
  }
}

function saidBy({ outcome, version, reason }: Reply): string {
  return `${outcome}${reason === null ? "" : ` ${reason}`}${version === null ? "" : `, version ${version}`}`;
}

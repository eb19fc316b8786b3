import { windowLimits } from "../../engine/commands/answers.ts";
import { audit } from "./audited.ts";
import type { Bank } from "./bank.ts";
import { differences, type History } from "./expected.ts";
import type { Idleness } from "./idleness.ts";

/** What is wrong with a bank that has come to rest, a line each; nothing where all is well. */
export async function check(bank: Bank, idleness: Idleness): Promise<readonly string[]> {
  const { topics } = bank;
  const found: string[] = [...bank.violations, ...bank.database.violations];
  const byPlace = new Map<string, number>();
  for (let partition = 0; partition < bank.shape.partitions; partition++) {
    const ever = (topic: { readonly name: string }) =>
      idleness.ever({ topic: topic.name, partition });
    const history: History = {
      partition,
      commands: ever(topics.commands),
      events: ever(topics.events),
      replies: ever(topics.replies),
      deadLetters: ever(topics.dlq),
      deleted: idleness.deletedOf(partition),
    };
    found.push(...differences(history, bank));
    history.replies.forEach((record, i) => {
      const { data } = bank.codec.decode(topics.replies, record.value as Buffer);
      byPlace.set(`${partition}/${String(data["commandOffset"])}`, i);
    });
    found.push(...answersThatDiffer(bank, history, byPlace));
  }
  const audited = await audit(bank);
  found.push(...(mayTellTwice(bank, idleness) ? audited.filter(isNotTwice) : audited));
  return found;
}

/**
 * Where commands and replies are gone, the audit goes by the window that workers have unless a simulation gives
 * them a smaller one; an id may have run again by that one.
 */
function mayTellTwice({ shape, topics }: Bank, idleness: Idleness): boolean {
  const { maxAgeMs, maxCount } = shape.commands.window;
  const isSmaller = maxAgeMs < windowLimits.maxAgeMs || maxCount < windowLimits.maxCount;
  return isSmaller && idleness.hasDeleted(topics.replies);
}

function isNotTwice(violation: string): boolean {
  return !violation.startsWith("I2:");
}

/** Every client has heard what the log says. */
function answersThatDiffer(
  bank: Bank,
  { partition, replies }: History,
  byPlace: ReadonlyMap<string, number>,
): string[] {
  return bank.told
    .filter((told) => told.partition === partition)
    .flatMap(({ number, reply }) => {
      const record = replies[byPlace.get(`${partition}/${reply.commandOffset}`) ?? -1];
      const said = record && bank.codec.decode(bank.topics.replies, record.value as Buffer).data;
      if (said && JSON.stringify(said) === JSON.stringify(reply)) return [];
      return [`I4: command ${number} was told ${JSON.stringify(reply)}, which no reply says`];
    });
}

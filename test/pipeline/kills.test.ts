import { randomUUID } from "node:crypto";
import { cpSync, rmSync } from "node:fs";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { sqliteStores } from "../../engine/commands/sqlite-store.ts";
import type { OutRecord } from "../../engine/log.ts";
import { partitionOf } from "../../engine/message.ts";
import { randomFrom } from "../../engine/testing/jumping-clock.ts";
import type { Topic } from "../../engine/topic.ts";
import { topics } from "../../topics/catalog.ts";
import { administer } from "../broker/admin.ts";
import { seen } from "../bank.ts";
import { endsOf, isConsumed, readAll } from "../log-reads.ts";
import { referenceFold } from "../reference.ts";
import { until } from "../until.ts";
import { type Bank, type BankProcess, openBank } from "./bank-processes.ts";

/** Workers as processes, killed, paused, robbed of their disks: the log must not show it. */

const { account } = topics;
const partitions = Array.from({ length: account.commands.partitions }, (_, i) => i);
const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1e9));
let random: () => number;
let bank: Bank;

beforeAll(async () => {
  console.log(`SEED=${seed}`);
  bank = await openBank();
});
afterAll(async () => {
  await bank.close();
});
beforeEach(() => {
  random = randomFrom(seed);
});

/**
 * Commands on accounts of their own: some are sent twice, some must be rejected. Every partition has some: a writer finds
 * out only by a command that it was replaced.
 */
function someCommands(count: number): OutRecord[] {
  const run = randomUUID().slice(0, 8);
  const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)] as T;
  const accounts: string[] = [];
  const reached = () => new Set(accounts.map((it) => partitionOf(it, partitions.length)));
  while (accounts.length < 40 || reached().size < partitions.length) {
    accounts.push(`${run}-${accounts.length}`);
  }
  const records = accounts.map((accountId) =>
    bank.command("OpenAccount", { commandId: `${accountId}-open`, accountId, owner: "Ada" }),
  );
  while (records.length < count) {
    if (random() < 0.1) records.push(pick(records));
    const accountId = pick(accounts);
    const amountCents = 1 + Math.floor(random() * 1_000);
    const fields = { commandId: `${accountId}-${records.length}`, accountId, amountCents };
    records.push(bank.command(random() < 0.5 ? "DepositFunds" : "WithdrawFunds", fields));
  }
  return records;
}

/** Sends in portions, and does something in the middle. */
async function sendWith(
  records: readonly OutRecord[],
  inTheMiddle: () => Promise<void>,
): Promise<void> {
  const producer = await bank.log.openProducer();
  const portion = 50;
  const middle = Math.floor((0.3 + 0.4 * random()) * (records.length / portion));
  for (let i = 0; i * portion < records.length; i++) {
    await producer.send(records.slice(i * portion, (i + 1) * portion));
    if (i === middle) await inTheMiddle();
  }
  await producer.close();
}

/** Whether a restart finds all in the stores: a worker that was killed early has written only what it had restored. */
async function areStoresWhole(stateDir: string): Promise<boolean> {
  const open = sqliteStores(stateDir);
  for (const partition of partitions) {
    const store = await open(`${account.commands.name}/${partition}`);
    const checkpoint = String(store.checkpoint());
    await store.close();
    if (!checkpoint.includes('"whole":true')) return false;
  }
  return true;
}

async function consumed(worker: BankProcess): Promise<void> {
  const ends = await endsOf(bank.log, account.commands);
  await until("every command to be answered", async () => isConsumed(bank.log, account, ends));
  expect(worker.child.exitCode).toBeNull();
}

/** The log of the whole bank, as long as it has run, is what a fold without any engine gives. */
async function expectFlawless(): Promise<void> {
  for (const partition of partitions) {
    const all = async ({ name }: Topic) => readAll(bank.log, { topic: name, partition });
    const commands = await all(account.commands);
    const wanted = referenceFold(commands, partition, { topics: account, codec: bank.codec });
    const events = seen(bank.codec, account.events, await all(account.events));
    expect(events.map(({ key, type, header }) => [key, type, header("command-id")])).toEqual(
      wanted.events,
    );
    const replies = seen(bank.codec, account.replies, await all(account.replies));
    expect(
      replies.map(({ data }) => [
        data["commandOffset"],
        data["outcome"],
        data["version"],
        data["reason"],
      ]),
    ).toEqual(wanted.replies);
  }
}

test("kill -9 in the middle, again and again", { timeout: 120_000 }, async () => {
  const stateDir = bank.stateDir();
  let worker = await bank.start(["account"], stateDir);
  for (let round = 0; round < 4; round++) {
    await sendWith(someCommands(800), async () => {
      worker.kill("SIGKILL");
      expect(await worker.ended).toBe("SIGKILL");
      worker = await bank.start(["account"], stateDir);
    });
  }
  await consumed(worker);
  await expectFlawless();
  await until("every local store to be whole", () => areStoresWhole(stateDir));
  worker.kill("SIGKILL");
  await worker.ended;
  worker = await bank.start(["account"], stateDir);
  await until("every partition to come from its store", async () => {
    const from = { from: "store" };
    return (await worker.metric("foldlog_restore_duration_seconds_count", from)) === 12;
  });
  worker.kill("SIGTERM");
  expect(await worker.ended).toBe(0);
});

test(
  "a restart without the local store, with an old copy of it, and without the group",
  { timeout: 120_000 },
  async () => {
    const stateDir = bank.stateDir();
    const old = bank.stateDir();
    let worker = await bank.start(["account"], stateDir);
    const restartWith = async (prepare: () => Promise<void> | void) => {
      await sendWith(someCommands(400), async () => {
        worker.kill("SIGKILL");
        await worker.ended;
        await prepare();
        worker = await bank.start(["account"], stateDir);
      });
    };
    await restartWith(() => {
      cpSync(stateDir, old, { recursive: true });
    });
    await restartWith(() => {
      rmSync(stateDir, { recursive: true });
    });
    await restartWith(() => {
      rmSync(stateDir, { recursive: true });
      cpSync(old, stateDir, { recursive: true });
    });
    await restartWith(async () => {
      await until("the group to be empty", () =>
        administer((admin) => admin.deleteGroups(["bank.account"])).then(
          () => true,
          () => false,
        ),
      );
    });
    await consumed(worker);
    await expectFlawless();
    worker.kill("SIGTERM");
    expect(await worker.ended).toBe(0);
  },
);

test(
  "of two workers one is paused beyond its session, replaced, and resumed: no duel",
  { timeout: 120_000 },
  async () => {
    const [first, second] = [
      await bank.start(["account"], bank.stateDir()),
      await bank.start(["account"], bank.stateDir()),
    ];
    await until("the two to share the partitions", async () => {
      const counts = [
        await first.metric("foldlog_partitions"),
        await second.metric("foldlog_partitions"),
      ];
      return counts[0] === 6 && counts[1] === 6;
    });
    await sendWith(someCommands(1_000), async () => {
      first.kill("SIGSTOP");
      await until("the other to have every partition", async () => {
        return (await second.metric("foldlog_partitions", { state: "ready" })) === 12;
      });
    });
    const reopened = () =>
      Promise.all(
        [first, second].map((it) =>
          it.metric("foldlog_writer_reopened_total", { reason: "fenced" }),
        ),
      );
    await consumed(second);
    first.kill("SIGCONT");
    await sendWith(someCommands(1_000), async () => {
      await until("the two to share the partitions again", async () => {
        const counts = await Promise.all(
          [first, second].map((it) => it.metric("foldlog_partitions", { state: "ready" })),
        );
        return counts[0] === 6 && counts[1] === 6;
      });
    });
    await consumed(second);
    const before = await reopened();
    await sendWith(someCommands(1_000), async () => undefined);
    await consumed(second);
    expect(await reopened()).toEqual(before); // Nobody fences anybody any more.
    expect(before.reduce((sum, it) => sum + it, 0)).toBeLessThanOrEqual(12);
    await expectFlawless();
    for (const it of [first, second]) it.kill("SIGTERM");
    expect([await first.ended, await second.ended]).toEqual([0, 0]);
  },
);

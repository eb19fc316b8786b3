import { afterEach, beforeEach, expect, test } from "vitest";
import { account } from "../../processors/aggregates/account.ts";
import { balances } from "../../processors/projections/balances.ts";
import { bankCodec, bankTopics, commandRecord, createTopics } from "../../test/bank.ts";
import type { AccountCommand, AccountState } from "../../schemas/generated.ts";
import type { Clock } from "../clock.ts";
import type { Codec } from "../codec.ts";
import { commandProcessor, projector } from "../worker.ts";
import { exploreCrashes } from "./crash-points.ts";
import { type MortalProcess, ordinal, startProcess } from "./crash-points-process.ts";
import { jumpingClock } from "./jumping-clock.ts";
import { loopsOf } from "./memory-application-loops.ts";
import { MemoryLog } from "./memory-log.ts";
import { MemoryStoreFiles } from "./memory-store.ts";
import { type MemoryViews, memoryViews } from "./memory-views.ts";

/** A killed process is dead: nothing that it does reaches anything any more. */

const topics = bankTopics("mortal", 1);
const projection = { ...balances, topics: [topics.events] };
const worker = commandProcessor(account, topics);
const events = { topic: topics.events.name, partition: 0 };

let clock: Clock;
let log: MemoryLog;
let codec: Codec;
let files: MemoryStoreFiles;
let views: MemoryViews;
let processes: MortalProcess[];

beforeEach(async () => {
  clock = jumpingClock();
  log = new MemoryLog({ clock });
  await createTopics(log, topics);
  codec = await bankCodec(topics, clock);
  files = new MemoryStoreFiles();
  views = memoryViews(projection);
  processes = [];
  const fields = { commandId: "c-1", accountId: "ada", owner: "Ada" };
  await (await log.openProducer()).send([commandRecord({ topics, codec }, "OpenAccount", fields)]);
});

afterEach(async () => {
  for (const process of processes) await process.stop();
});

/** Runs a process for a minute of the clock's; resolves to what it came by. */
async function run(deadly: string | null): Promise<{ process: MortalProcess; places: string[] }> {
  const places: string[] = [];
  const counts = new Map<string, number>();
  const process = await startProcess({
    loops: loopsOf({ workers: { account: worker, balances: projector(projection) } }),
    log,
    codec,
    views: new Map([[projection, views]]),
    files,
    clock,
    count: (action) => {
      counts.set(action, (counts.get(action) ?? 0) + 1);
      return counts.get(action) ?? 0;
    },
    onPoint: (place) => {
      places.push(place);
      return place === deadly ? "dies" : "lives";
    },
  });
  processes.push(process);
  await clock.sleep(60_000);
  return { process, places };
}

test("a process that is killed after Produce has an open transaction, and never ends it", async () => {
  const deadly = "after Produce of the 1st transaction of account/0";
  const { process, places } = await run(deadly);
  expect(process.isDead()).toBe(true);
  expect(process.failure()).toBeNull();
  expect(places.at(-1)).toBe(deadly);
  expect(log.committed(events)).toEqual([]);
  expect(log.bounds(events)).toMatchObject({ stable: 0n, end: 1n });

  const successor = await run(null);
  expect(successor.process.isDead()).toBe(false);
  expect(log.committed(events).map(({ key }) => String(key))).toEqual(["ada/1"]);
  expect(views.rows("balances")).toHaveLength(1);
});

test("a process that is killed before EndTxn has not committed, after it has", async () => {
  await run("before EndTxn of the 1st transaction of account/0");
  expect(log.committed(events)).toHaveLength(0);
  await run("after EndTxn of the 1st transaction of account/0");
  expect(log.committed(events)).toHaveLength(1);
});

test("a process that is killed around a view's commit leaves it undone, or done", async () => {
  const first = await run("before the 1st commit of balances from account.events/0");
  expect(first.process.isDead()).toBe(true);
  expect(views.commits).toBe(0);
  await run("after the 1st commit of balances from account.events/0");
  expect(views.commits).toBe(1);
});

test("a process that is killed before a write to its store leaves the store as it was", async () => {
  const store = await files.open(`${topics.commands.name}/0`);
  const written = () => String(store.checkpoint()).includes('"commands":"0"');
  await run("before emptying the local store of account/0");
  expect(store.checkpoint()).toBeNull();
  await run("before the 1st write to the local store of account/0");
  expect([store.checkpoint() === null, written()]).toEqual([false, false]);
  await run("after the 1st write to the local store of account/0");
  expect(written()).toBe(true);
});

test("a command is decided again only where its process died before the commit", async () => {
  let asked = 0;
  const counting = commandProcessor(
    {
      ...account,
      decide(command: AccountCommand, state: AccountState) {
        asked += 1;
        return account.decide(command, state);
      },
    },
    topics,
  );
  const data = { commandId: "c-1", accountId: "ada", owner: "Ada" };
  const explore = async (place: string) => {
    const commands = [{ type: "OpenAccount", data }];
    const workers = { account: counting };
    const { places } = await exploreCrashes({ workers }, commands, { point: 1 });
    asked = 0;
    await exploreCrashes({ workers }, commands, { point: places.indexOf(place) + 1 });
    return asked - 2; // Without those of the undisturbed run, which asks twice.
  };
  expect(await explore("after EndTxn of the 1st transaction of account/0")).toBe(1);
  expect(await explore("after Produce of the 1st transaction of account/0")).toBe(2);
});

test("a number has its ending", () => {
  const said = [1, 2, 3, 4, 10, 11, 12, 13, 21, 102, 111, 113].map(ordinal);
  expect(said.join(" ")).toBe("1st 2nd 3rd 4th 10th 11th 12th 13th 21st 102nd 111th 113th");
});

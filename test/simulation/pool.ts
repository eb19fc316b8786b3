import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { type Batch, runBatch } from "./batch.ts";

/** Runs seeds on several cores. */

const batchSeeds = 25;

export interface Seeds {
  readonly from: number;
  readonly count: number;
  /** How many processes; one is this one itself. */
  readonly jobs: number;
}

/** Calls `done` for each batch, in any order, until all are run or it answers "stop". */
export async function runSeeds(
  { from, count, jobs }: Seeds,
  done: (batch: Batch) => "go on" | "stop",
): Promise<void> {
  const end = from + count;
  let next = from;
  let isOver = false;
  const take = () => {
    if (isOver || next >= end) return null;
    const seeds = Math.min(batchSeeds, end - next);
    next += seeds;
    return { from: next - seeds, seeds };
  };
  const lane = async (run: (from: number, seeds: number) => Promise<Batch>) => {
    for (let some = take(); some !== null; some = take()) {
      isOver = done(await run(some.from, some.seeds)) === "stop" || isOver;
    }
  };
  const lanes = Math.min(jobs, Math.ceil(count / batchSeeds));
  if (lanes <= 1) {
    await lane(runBatch);
    return;
  }
  await Promise.all(Array.from({ length: lanes }, () => inChild(lane)));
}

/** In a process of its own, which has the options of this one and loads the engine anew. */
async function inChild(
  lane: (run: (from: number, seeds: number) => Promise<Batch>) => Promise<void>,
): Promise<void> {
  const child = fork(fileURLToPath(new URL("child.ts", import.meta.url)));
  try {
    await lane((from, seeds) => ask(child, from, seeds));
  } finally {
    if (child.connected) child.disconnect();
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  }
}

async function ask(child: ChildProcess, from: number, seeds: number): Promise<Batch> {
  return new Promise((resolve, reject) => {
    const died = (code: number | null) => {
      reject(
        new Error(
          `A process of the simulation died (${code}) in seeds ${from} to ${from + seeds - 1}`,
        ),
      );
    };
    child.once("exit", died);
    child.once("message", (batch) => {
      child.off("exit", died);
      resolve(batch as Batch);
    });
    child.send({ from, seeds });
  });
}

import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { type Operate, whileDown, workersAt } from "./operator-system.ts";
import type { KeptWorker } from "./processes/system-workers.ts";

/** What is done to the workers' local stores, with the worker killed for the moment. */

const nothing = async () => undefined;

function killed(workers: readonly KeptWorker[], work: () => void): Promise<void> {
  return whileDown(workers, "SIGKILL", async () => {
    work();
  });
}

/** The disk of a worker's host is lost. */
const deleteStore: Operate = async (system, { target }) => {
  const workers = workersAt(system, target);
  await killed(workers, () => {
    for (const { stateDir } of workers) {
      rmSync(stateDir, { recursive: true, force: true });
      mkdirSync(stateDir, { recursive: true });
    }
  });
  return nothing;
};

/** Somebody restores a backup of a worker's disk, as it was when the fault began, when it ends. */
const restoreOldStore: Operate = async (system, { target }) => {
  const workers = workersAt(system, target);
  await killed(workers, () => {
    for (const { stateDir } of workers) {
      rmSync(oldOf(stateDir), { recursive: true, force: true });
      cpSync(stateDir, oldOf(stateDir), { recursive: true });
    }
  });
  return () =>
    killed(workers, () => {
      for (const { stateDir } of workers) {
        if (!existsSync(oldOf(stateDir))) continue;
        rmSync(stateDir, { recursive: true, force: true });
        renameSync(oldOf(stateDir), stateDir);
      }
    });
};

function oldOf(stateDir: string): string {
  return `${stateDir}.old`;
}

/** Workers come up with the disks of others: each with that of the next. */
const swapStores: Operate = async (system, { target }) => {
  const workers = workersAt(system, target);
  if (workers.length < 2) throw new Error(`Nothing to swap: there is one ${target}.`);
  await killed(workers, () => {
    for (const { stateDir } of workers) renameSync(stateDir, `${stateDir}.moving`);
    workers.forEach(({ stateDir }, i) => {
      const next = workers[(i + 1) % workers.length] as KeptWorker;
      renameSync(`${stateDir}.moving`, next.stateDir);
    });
  });
  return nothing;
};

export const storeOperations = {
  "delete-store": deleteStore,
  "restore-old-store": restoreOldStore,
  "swap-stores": swapStores,
} as const;

import { randomBytes } from "node:crypto";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, readdirSync, rmSync } from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../../engine/clock.ts";
import { silentChecklist } from "../../../ops/stack/checklist.ts";
import { type Folder, folderAt, openFolder } from "../../../ops/stack/folder.ts";
import { ensureParts } from "../../../ops/stack/parts.ts";
import { freePorts } from "../../../ops/stack/ports.ts";
import { endRunning } from "../../../ops/stack/running.ts";
import { folderSetting } from "../../../ops/stack/settings.ts";
import type { Fault, Plan } from "../plan.ts";
import type { Addresses, Ending, StartOptions, System } from "../system.ts";
import type { Hosts } from "./hosts.ts";
import { bankNamed, type NamedBank, type WorkerName } from "./system-bank.ts";
import { type Faults, openFaults } from "./system-faults.ts";
import {
  type Network,
  needsNetwork,
  openHostsFor,
  openNetwork,
  type Reached,
} from "./system-network.ts";
import { createDatabase, databaseOf, dropBank, prepareBank } from "./system-prepare.ts";
import { type Services, startServices } from "./system-stack.ts";
import { isReady, type KeptWorker, workersOf } from "./system-workers.ts";

/**
 * A whole bank as processes on this machine: broker or brokers, registry, Postgres, and each worker in a network host
 * of its own behind its own proxies.
 */
export interface ProcessSystem extends System {
  readonly bank: NamedBank;
  /** Stops the workers, and starts those of another plan on topics and a database of their own. */
  renew(plan: Plan, signal: AbortSignal): Promise<void>;
  /** Copies what all processes have said so far. */
  keepLogs(folder: string): void;
}

const clock = systemClock;
const readyMs = 120_000;
const lookMs = 50;
const stopBudgetMs = 10_000;

export async function startProcesses(
  options: StartOptions & { readonly network?: "always" },
  signal: AbortSignal,
): Promise<ProcessSystem> {
  const base = folderAt(folderSetting(process.env));
  openFolder(base.dir);
  const name = `chaos-${process.pid}-${randomBytes(3).toString("hex")}`;
  const folder = openFolder(join(base.dir, name));
  const guardian = guard(folder.dir);
  let hosts: Hosts | null = null;
  try {
    const { env } = process;
    const from = { partsDir: base.parts, checklist: silentChecklist, signal, env };
    const parts = await ensureParts(folder, from);
    const endings: Ending[] = [];
    const onEnding = (ending: Ending) => endings.push(ending);
    const { onStep, plan } = options;
    hosts = options.network === "always" || needsNetwork(plan) ? await openHostsFor(plan) : null;
    const services = await startServices(
      { folder, parts, clock, onEnding, onStep, plan, hosts },
      signal,
    );
    const network = hosts === null ? null : await openNetwork(hosts, reachedIn(services));
    const system = new Processes({ start: options, folder, services, network, endings, guardian });
    await system.open(plan, "bank", signal);
    return system;
  } catch (error) {
    await hosts?.close();
    await endRunning(folder.run, stopBudgetMs);
    keepLogs(folder, options);
    await guardian.release();
    throw error;
  }
}

interface ProcessesOptions {
  readonly start: StartOptions;
  /** Of the stack: data, logs, pid files. */
  readonly folder: Folder;
  readonly services: Services;
  readonly network: Network | null;
  readonly endings: Ending[];
  readonly guardian: Guardian;
}

class Processes implements ProcessSystem {
  bank: NamedBank = bankNamed("bank");
  addresses: Addresses;
  private readonly options: ProcessesOptions;
  private kept: readonly KeptWorker[] = [];
  private faults: Faults | null = null;
  private banks = 0;

  constructor(options: ProcessesOptions) {
    this.options = options;
    this.addresses = this.addressesOf("foldlog");
  }

  /** Topics, schemas, views, and every worker of the plan, ready. */
  async open(plan: Plan, namespace: string, signal: AbortSignal): Promise<void> {
    const { services, start, folder, endings, network } = this.options;
    this.bank = bankNamed(namespace);
    const database = databaseOf(this.bank);
    if (namespace !== "bank") await createDatabase(services, database);
    this.addresses = this.addressesOf(database);
    start.onStep("Topics, schemas and views are made");
    await prepareBank(this, services, signal);
    this.kept = await workersOf(plan, {
      ...{ folder, clock, bank: this.bank, replicationFactor: services.brokers.length },
      onEnding: (ending) => endings.push(ending),
      surroundingsOf: async (name, worker) => ({
        ...(await this.placeOf(name, worker)),
        registryUrl: services.registryUrl,
        databaseUrl: (role) => services.databaseUrl(role, database),
      }),
    });
    const gateway = this.kept.find(({ worker }) => worker === "gateway");
    this.addresses = { ...this.addresses, apiUrl: gateway?.apiUrl ?? null };
    this.faults = openFaults({
      ...{ services, network, clock, kept: this.kept, bank: this.bank, seed: plan.seed },
      addresses: this.addresses,
    });
    start.onStep(`${this.kept.map(({ name }) => name).join(", ")} start`);
    await Promise.all(this.kept.map(({ process: it }) => it.start()));
    await untilReady(this.kept, endings, signal);
  }

  async renew(plan: Plan, signal: AbortSignal): Promise<void> {
    await this.stopWorkers();
    await dropBank(this, this.options.services);
    for (const { stateDir } of this.kept) rmSync(stateDir, { recursive: true, force: true });
    this.banks += 1;
    await this.open(plan, `bank${this.banks + 1}`, signal);
  }

  async begin(fault: Fault): Promise<void> {
    await this.faults?.begin(fault);
  }

  async end(fault: Fault): Promise<number | null> {
    return (await this.faults?.end(fault)) ?? null;
  }

  async heal(): Promise<void> {
    await this.faults?.heal();
    const { postgres, registry, brokers } = this.options.services;
    for (const it of [postgres, registry, ...brokers]) it.heal();
    for (const { process: it } of this.kept) it.heal();
  }

  workers(): ReturnType<System["workers"]> {
    return this.kept.filter(({ process: it }) => it.isUp);
  }

  endings(): readonly Ending[] {
    return this.options.endings;
  }

  async printed(): Promise<readonly string[]> {
    const { logs } = this.options.folder;
    const own = (file: string) => file.startsWith(`${this.bank.namespace}-`);
    return readdirSync(logs)
      .filter(own)
      .map((file) => join(logs, file));
  }

  async stop(): Promise<void> {
    const { services, folder, guardian, start, network } = this.options;
    const { postgres, registry, brokers } = services;
    const all = [...this.kept.map((it) => it.process), registry, ...brokers, postgres];
    for (const it of all) it.stopKeeping();
    await this.faults?.heal();
    for (const it of all) it.signal("SIGCONT");
    await endRunning(folder.run, stopBudgetMs);
    await Promise.all(all.map((it) => it.ended));
    await network?.close();
    for (const disk of services.disks.values()) await disk.close();
    keepLogs(folder, start);
    await guardian.release();
  }

  /** Straight to everything, or in a host of its own, behind its own proxies. */
  private async placeOf(name: string, worker: WorkerName) {
    const { services, network } = this.options;
    if (network !== null) {
      const place = await network.placeOf(name, worker);
      return { ...place, kafkaBrokers: services.cluster.proxiedBootstrap };
    }
    const [metrics = 0, api = 0] = await freePorts(2);
    const here = { inside: [], address: "127.0.0.1", ports: { metrics, api } };
    return { ...here, kafkaBrokers: services.cluster.bootstrap };
  }

  private async stopWorkers(): Promise<void> {
    for (const { process: it } of this.kept) {
      it.stopKeeping();
      it.signal("SIGTERM");
    }
    await Promise.all(this.kept.map(({ process: it }) => it.ended));
  }

  keepLogs(folder: string): void {
    keepLogs(this.options.folder, { folder });
  }

  private addressesOf(database: string): Addresses {
    const { services } = this.options;
    return {
      kafkaBrokers: services.cluster.bootstrap,
      registryUrl: services.registryUrl,
      databaseUrl: services.databaseUrl("foldlog_owner", database),
      databaseReadUrl: services.databaseUrl("foldlog_reader", database),
      apiUrl: null,
    };
  }
}

function reachedIn({ cluster, postgresPort, registryPort }: Services): Reached {
  return { postgresPort, registryPort, brokers: cluster.brokers };
}

/** The folder of the stack goes; what its processes said stays with the run. */
function keepLogs({ logs }: Folder, { folder }: Pick<StartOptions, "folder">): void {
  cpSync(logs, join(folder, "logs"), { recursive: true });
}

async function untilReady(
  workers: readonly KeptWorker[],
  endings: readonly Ending[],
  signal: AbortSignal,
): Promise<void> {
  const before = endings.length;
  const deadline = clock.now() + readyMs;
  for (const worker of workers) {
    while (!(await isReady(worker))) {
      signal.throwIfAborted();
      const [ended] = endings.slice(before);
      if (ended !== undefined) throw new Error(`${ended.name} ended (${ended.how}): ${ended.said}`);
      if (clock.now() > deadline) {
        throw new Error(`${worker.name} is not ready after ${readyMs / 1000} s; see its log.`);
      }
      await clock.sleep(lookMs);
    }
  }
}

interface Guardian {
  release(): Promise<void>;
}

const guardianFile = fileURLToPath(new URL("../../../ops/stack/guardian.ts", import.meta.url));

/** Ends everything and removes the folder when this process ends, however it does. */
function guard(dir: string): Guardian {
  const guardian = spawn(process.execPath, [guardianFile, dir], {
    detached: true, // A Ctrl-C in the terminal must not reach it.
    stdio: ["pipe", "ignore", "inherit"],
  });
  guardian.unref();
  if (guardian.stdin instanceof Socket) guardian.stdin.unref();
  return {
    async release() {
      guardian.ref();
      const gone = once(guardian, "exit");
      guardian.stdin.end();
      await gone;
    },
  };
}

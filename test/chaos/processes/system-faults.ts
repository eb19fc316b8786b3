import { operate } from "../operator.ts";
import type { OperatedSystem } from "../operator-system.ts";
import type { Fault } from "../plan.ts";
import { arm, disarm, innerPoints } from "./system-failpoint.ts";
import { disturb, failByProxy, isolate } from "./system-faults-network.ts";
import type { Network } from "./system-network.ts";
import type { KeptProcess } from "./system-process.ts";

/** What a plan's faults do to processes. */

export interface Faults {
  begin(fault: Fault): Promise<void>;
  /** Resolves to how many it has hit, where that depended on what came by; else to `null`. */
  end(fault: Fault): Promise<number | null>;
  /** Ends whatever is in force. */
  heal(): Promise<void>;
}

export interface FaultsOptions extends OperatedSystem {
  readonly network: Network | null;
  /** Decides by chance who is hit, where not all are. */
  readonly seed: number;
}

export function openFaults(options: FaultsOptions): Faults {
  /** How each fault in force is ended. */
  const inForce = new Map<Fault, Stop>();
  const end = async (fault: Fault) => {
    const stop = inForce.get(fault);
    inForce.delete(fault);
    const hits = await stop?.();
    return typeof hits === "number" ? hits : null;
  };
  return {
    begin: async (fault) => {
      inForce.set(fault, await begin(options, fault));
    },
    end,
    heal: async () => {
      for (const fault of inForce.keys()) await end(fault);
    },
  };
}

/** Resolves to how many were hit, where that is not known beforehand. */
type Stop = () => Promise<unknown>;

async function begin(options: FaultsOptions, fault: Fault): Promise<Stop> {
  if ("args" in fault) return operate(options, fault);
  switch (fault.does) {
    case "kill":
      return held(await processesOf(options, fault.target), (it) => {
        it.signal("SIGKILL");
      });
    case "terminate":
      return held(await processesOf(options, fault.target), (it) => {
        if (it.name === "postgres") it.signal("SIGQUIT", "alone");
        else it.signal("SIGTERM", "alone");
      });
    case "pause":
      return paused(await processesOf(options, fault.target));
    case "fail":
      return failing(options, fault);
    case "storm":
      return storming(options, fault);
    case "isolate":
      return isolate(await namedRole(options, fault), networkOf(options));
    case "disturb":
      return disturb(fault, networkOf(options), options.seed);
    case "fill-disk":
      return filled(options, fault.target);
  }
}

function networkOf({ network }: FaultsOptions): Network {
  if (network !== null) return network;
  throw new Error("The system was brought up without network hosts.");
}

/** The processes that a target means: one, or all of that name. */
async function processesOf(
  options: FaultsOptions,
  target: string,
): Promise<readonly KeptProcess[]> {
  const { services, kept } = options;
  const wanted = await resolved(options, target);
  const workers = kept.map((it) => it.process);
  const all = [services.postgres, services.registry, ...services.brokers, ...workers];
  const named = all.filter(({ name }) => name === wanted || kindOf(name) === wanted);
  if (named.length > 0) return named;
  const names = all.map(({ name }) => name).join(", ");
  throw new Error(`The plan's target "${target}" is none of this system's processes: ${names}.`);
}

/** A role of a broker at this moment → its number. */
async function resolved({ services, bank }: FaultsOptions, target: string): Promise<string> {
  const { cluster } = services;
  if (target === "broker/controller") return `broker/${(await cluster.controller()) ?? 1}`;
  if (target !== "broker/leader") return target;
  return `broker/${(await cluster.leaderOf(bank.topics.events.name, 0)) ?? 1}`;
}

type Isolation = Extract<Fault, { does: "isolate" }>;

async function namedRole(options: FaultsOptions, fault: Isolation): Promise<Isolation> {
  const [target, from] = [
    await resolved(options, fault.target),
    await resolved(options, fault.from),
  ];
  return { ...fault, target, from };
}

/** The disk is full until the fault ends; whoever ends of it is started again all the time. */
async function filled(options: FaultsOptions, target: string): Promise<Stop> {
  const disk = options.services.disks.get(target);
  if (disk === undefined) throw new Error(`There is no disk of a size under "${target}".`);
  const processes = await processesOf(options, target);
  for (const it of processes) it.expectEnd();
  disk.fill();
  return async () => {
    disk.release();
    for (const it of processes) it.expectNoEnd();
  };
}

function kindOf(name: string): string {
  return name.split("/")[0] ?? name;
}

async function held(
  processes: readonly KeptProcess[],
  strike: (process: KeptProcess) => void,
): Promise<Stop> {
  for (const it of processes) {
    it.hold();
    strike(it);
  }
  return async () => {
    for (const it of processes) it.release();
  };
}

async function paused(processes: readonly KeptProcess[]): Promise<Stop> {
  for (const it of processes) it.signal("SIGSTOP");
  return async () => {
    for (const it of processes) it.signal("SIGCONT");
  };
}

async function failing(
  options: FaultsOptions,
  fault: Extract<Fault, { does: "fail" }>,
): Promise<Stop> {
  const { target, point, times } = fault;
  const workers = options.kept.filter(({ name }) => name === target || kindOf(name) === target);
  if (workers.length === 0) throw new Error(`The plan's target "${target}" is no worker.`);
  if (!innerPoints.includes(point)) return failByProxy(fault, workers, networkOf(options));
  for (const { process: it, stateDir } of workers) {
    it.expectEnd();
    arm(stateDir, { point, times });
  }
  return async () => {
    let left = 0;
    for (const { process: it, stateDir } of workers) {
      left += disarm(stateDir);
      it.expectNoEnd();
    }
    return times * workers.length - left;
  };
}

/** Members of the target's group go and come: each in its turn stops in good order, and starts again. */
async function storming(
  options: FaultsOptions,
  { target, everyMs }: Extract<Fault, { does: "storm" }>,
): Promise<Stop> {
  const processes = await processesOf(options, target);
  const over = new AbortController();
  const run = async () => {
    for (let turn = 0; !over.signal.aborted; turn++) {
      const it = processes[turn % processes.length];
      it?.hold();
      it?.signal("SIGTERM", "alone");
      await options.clock.sleep(everyMs, over.signal);
      it?.release();
    }
  };
  const running = run();
  return async () => {
    over.abort();
    await running;
  };
}

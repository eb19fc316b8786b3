import type { Clock } from "../../../engine/clock.ts";
import { operate } from "../operator.ts";
import type { OperatedSystem } from "../operator-system.ts";
import type { Failpoint, Fault } from "../plan.ts";
import { arm, disarm } from "./system-failpoint.ts";
import type { KeptProcess } from "./system-process.ts";
import type { Services } from "./system-services.ts";
import type { KeptWorker } from "./system-workers.ts";

/** What a plan's faults do to processes. */

export interface Faults {
  begin(fault: Fault): Promise<void>;
  end(fault: Fault): Promise<void>;
  /** Ends whatever is in force. */
  heal(): Promise<void>;
}

export interface FaultsOptions {
  readonly services: Services;
  readonly kept: readonly KeptWorker[];
  readonly clock: Clock;
  readonly system: Omit<OperatedSystem, "services" | "kept" | "clock">;
}

/** Points in a worker's own code, which its program tells of; all others are seen from outside. */
const inner: readonly Failpoint[] = ["before:store", "after:store", "after:restore"];

export function openFaults(options: FaultsOptions): Faults {
  /** How each fault in force is ended. */
  const inForce = new Map<Fault, () => Promise<void>>();
  const end = async (fault: Fault) => {
    const stop = inForce.get(fault);
    inForce.delete(fault);
    await stop?.();
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

type Stop = () => Promise<void>;

async function begin(options: FaultsOptions, fault: Fault): Promise<Stop> {
  if ("args" in fault) return operate({ ...options, ...options.system }, fault);
  switch (fault.does) {
    case "kill":
      return held(processesOf(options, fault.target), (it) => {
        it.signal("SIGKILL");
      });
    case "terminate":
      return held(processesOf(options, fault.target), (it) => {
        if (it.name === "postgres") it.signal("SIGQUIT", "alone");
        else it.signal("SIGTERM", "alone");
      });
    case "pause":
      return paused(processesOf(options, fault.target));
    case "fail":
      return failing(options, fault);
    case "storm":
      return storming(options, fault);
    case "isolate":
    case "disturb":
    case "fill-disk":
      throw new Error(`"${fault.does}" needs network hosts and proxies, which are not here.`);
  }
}

/** The processes that a target means: one, or all of that name. */
function processesOf({ services, kept }: FaultsOptions, target: string): readonly KeptProcess[] {
  const [kind = "", which] = target.split("/");
  const all = [
    services.postgres,
    services.registry,
    ...services.brokers,
    ...kept.map((it) => it.process),
  ];
  const named =
    kind === "broker" && which !== undefined && !/^\d+$/.test(which)
      ? services.brokers.slice(0, 1)
      : all.filter(({ name }) => name === target || (which === undefined && kindOf(name) === kind));
  if (named.length > 0) return named;
  const names = all.map(({ name }) => name).join(", ");
  throw new Error(`The plan's target "${target}" is none of this system's processes: ${names}.`);
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
  { target, point, times }: Extract<Fault, { does: "fail" }>,
): Promise<Stop> {
  if (!inner.includes(point)) {
    throw new Error(`The failpoint ${point} is seen by a worker's proxies, which are not here.`);
  }
  const workers = options.kept.filter(({ name }) => name === target || kindOf(name) === target);
  if (workers.length === 0) throw new Error(`The plan's target "${target}" is no worker.`);
  for (const { process: it, stateDir } of workers) {
    it.expectEnd();
    arm(stateDir, { point, times });
  }
  return async () => {
    for (const { process: it, stateDir } of workers) {
      disarm(stateDir);
      it.expectNoEnd();
    }
  };
}

/** Members of the target's group go and come: each in its turn stops in good order, and starts again. */
async function storming(
  options: FaultsOptions,
  { target, everyMs }: Extract<Fault, { does: "storm" }>,
): Promise<Stop> {
  const processes = processesOf(options, target);
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

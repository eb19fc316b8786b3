import type { Fault } from "../plan.ts";
import type { Direction } from "./hosts.ts";
import type { SeenPoint } from "./proxies.ts";
import type { Network } from "./system-network.ts";
import type { KeptWorker } from "./system-workers.ts";

/** Faults that come between processes: hosts cut off from each other, and proxies that disturb. */

type Stop = () => Promise<void>;
type Of<D extends Fault["does"]> = Extract<Fault, { does: D }>;

/** Every host of the one that is cut off from every one of the other; whoever has no host is cut off by the other. */
export async function isolate(
  { target, from, direction }: Of<"isolate">,
  network: Network,
): Promise<Stop> {
  const mends: Stop[] = [];
  for (const one of namesOf(network, target)) {
    for (const other of namesOf(network, from)) {
      if (one === other) continue;
      const host = network.hostOf(one);
      const cutting = host ?? network.hostOf(other);
      const cutOff = network.peer(host === null ? one : other);
      if (cutting === null || cutOff === null) {
        throw new Error(`"${one}" cannot be cut off from "${other}": neither is a network host.`);
      }
      mends.push(await cutting.cut(cutOff, host === null ? opposite(direction) : direction));
    }
  }
  return async () => {
    for (const mend of mends) await mend();
  };
}

function opposite(direction: Direction): Direction {
  if (direction === "both") return direction;
  return direction === "in" ? "out" : "in";
}

/** One name, or all of a kind: "broker" is every broker. */
function namesOf(network: Network, target: string): readonly string[] {
  if (network.peer(target) !== null) return [target];
  const names: string[] = [];
  for (let number = 1; network.peer(`${target}/${number}`) !== null; number++) {
    names.push(`${target}/${number}`);
  }
  if (names.length > 0) return names;
  throw new Error(`The plan's target "${target}" is no host of this network.`);
}

/** On the way of every worker. */
export async function disturb(
  fault: Of<"disturb">,
  network: Network,
  seed: number,
): Promise<() => Promise<number>> {
  const all = network.proxies();
  await Promise.all(all.map((proxies, i) => proxies.disturb(fault, seed + i)));
  return async () => {
    const hits = await Promise.all(all.map((proxies) => proxies.settle(fault)));
    return hits.reduce((sum, it) => sum + it, 0);
  };
}

/** The first of these workers to come there dies, and so on, `times` times in all. */
export async function failByProxy(
  { point, times }: Of<"fail">,
  workers: readonly KeptWorker[],
  network: Network,
): Promise<() => Promise<number>> {
  let left = times;
  let isOver = false;
  const cancels = new Map<string, Stop>();
  const watch = async (worker: KeptWorker): Promise<void> => {
    const { name, process: it } = worker;
    const proxies = network.proxiesOf(name);
    if (proxies === null) throw new Error(`${name} has no proxies`);
    const failing = await proxies.failAt(point as SeenPoint, () => {
      if (left < 1) return;
      left -= 1;
      it.signal("SIGKILL");
    });
    cancels.set(name, () => failing.cancel());
    void failing.reached.then(async () => {
      cancels.delete(name);
      if (left === 0) await cancelAll();
      else if (!isOver) await watch(worker);
    });
  };
  const cancelAll = async () => {
    for (const cancel of cancels.values()) await cancel();
    cancels.clear();
  };
  for (const worker of workers) await watch(worker);
  return async () => {
    isOver = true;
    await cancelAll();
    return times - left;
  };
}

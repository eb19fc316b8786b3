import type { Plan } from "../plan.ts";
import type { ClusterBroker } from "./cluster.ts";
import { type Hosts, type NetworkHost, openHosts, type Peer, whyNoHosts } from "./hosts.ts";
import { type Endpoint, type Passage, type Proxies, startProxies } from "./proxies.ts";
import type { WorkerName } from "./system-bank.ts";
import { innerPoints } from "./system-failpoint.ts";
import type { WorkerSurroundings } from "./system-workers.ts";

/** The network of a bank: each worker in a host of its own, behind its own proxies, where a plan needs that. */

export interface Network {
  readonly hosts: Hosts;
  /** Where the worker of that name is to run; the same again for its successors. */
  placeOf(name: string, worker: WorkerName): Promise<Place>;
  /** The host or the door of that name. */
  peer(name: string): Peer | null;
  hostOf(name: string): NetworkHost | null;
  proxies(): readonly Proxies[];
  proxiesOf(name: string): Proxies | null;
  close(): Promise<void>;
}

export type Place = Pick<WorkerSurroundings, "inside" | "address" | "ports">;

/** What stands on 127.0.0.1 of the machine, and brokers wherever they are. */
export interface Reached {
  readonly postgresPort: number;
  readonly registryPort: number;
  readonly brokers: readonly ClusterBroker[];
}

/** Whether the plan's faults come between its processes. */
export function needsNetwork({ faults }: Pick<Plan, "faults">): boolean {
  return faults.some(
    (fault) =>
      fault.does === "isolate" ||
      fault.does === "disturb" ||
      (fault.does === "fail" && !innerPoints.includes(fault.point)),
  );
}

/** @throws Error that says why there can be no network here */
export async function openHostsFor(plan: Plan): Promise<Hosts> {
  const why = whyNoHosts();
  if (why === null) return openHosts();
  throw new Error(
    `The plan "${plan.name}" comes between processes, and needs network hosts for that: ${why}.`,
  );
}

/** Every host has its own ports, so all workers use the same ones. */
const ports = { metrics: 9464, api: 8080 } as const;
const loopback = "127.0.0.1";

export async function openNetwork(hosts: Hosts, reached: Reached): Promise<Network> {
  const { postgresPort, registryPort, brokers } = reached;
  const doors = new Map([
    ["postgres", await hosts.addDoor("postgres", [postgresPort])],
    ["registry", await hosts.addDoor("registry", [registryPort])],
  ]);
  const places = new Map<string, { readonly host: NetworkHost; readonly proxies: Proxies }>();
  const passages = (host: NetworkHost, worker: WorkerName): readonly Passage[] => {
    const throughDoor = (link: "postgres" | "registry", port: number): Passage => ({
      link,
      listen: { host: loopback, port },
      to: { host: doors.get(link)?.address ?? loopback, port },
    });
    const api: { listen: Endpoint; to: Endpoint } = {
      listen: { host: host.address, port: ports.api },
      to: { host: loopback, port: ports.api },
    };
    return [
      ...brokers.map(({ proxied }): Passage => ({ link: "kafka", ...proxied })),
      throughDoor("postgres", postgresPort),
      throughDoor("registry", registryPort),
      ...(worker === "gateway" ? [{ link: "http", ...api } as const] : []),
    ];
  };
  const hostOf = (name: string) =>
    places.get(name)?.host ?? brokers.find((it) => `broker/${it.number}` === name)?.host ?? null;

  return {
    hosts,
    async placeOf(name, worker) {
      let place = places.get(name);
      if (place === undefined) {
        const host = await hosts.addHost(name);
        const options = { passages: passages(host, worker), enter: host.enter };
        place = { host, proxies: await startProxies(options) };
        places.set(name, place);
      }
      const { enter: inside, address } = place.host;
      return { inside, address, ports };
    },
    hostOf,
    peer: (name) => hostOf(name) ?? doors.get(name) ?? null,
    proxies: () => [...places.values()].map(({ proxies }) => proxies),
    proxiesOf: (name) => places.get(name)?.proxies ?? null,
    async close() {
      for (const { proxies } of places.values()) await proxies.close();
      await hosts.close();
    },
  };
}

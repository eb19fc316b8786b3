import type { StartSystem } from "../system.ts";

/**
 * A whole bank as processes on this machine: broker or brokers, registry, Postgres, and each worker in a network host
 * of its own behind its own proxies. What it composes, all of it beside this file:
 *
 * - `hosts.ts`: network hosts. `whyNoHosts(): string | null`; `openHosts(): Promise<Hosts>`; a host has a name, an
 *   address, the words to put before a command line to run it inside, and ways to cut it off from an address and port
 *   in one direction or both; `close()` removes them all, also what an earlier run left.
 * - `proxies.ts`: one process a worker, between its host and the real Kafka (each broker), registry and Postgres.
 *   Gives the addresses that the worker is to be started with; `disturb(fault)` and `settle(fault)` as plans say it;
 *   `killAt(point, times, pid)`: the process with that pid gets SIGKILL when it comes to the failpoint, before the
 *   request is passed on, or before its answer is; tells when it has happened.
 * - `disk.ts`: a folder on a disk of a size, that can be filled and emptied.
 * - `cluster.ts`: one broker or three, each started, killed, paused by its number; who leads, who controls.
 */
export const startProcesses: StartSystem = () => {
  throw new Error("Not yet");
};

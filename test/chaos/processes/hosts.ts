import {
  type ChildProcess,
  execFile,
  spawn,
  spawnSync,
  type SpawnOptions,
} from "node:child_process";
import { networkInterfaces } from "node:os";
import { guard } from "./guard.ts";
import { linkOf, newRunName, sweepLeftovers } from "./leftovers.ts";
import { type Relay, startRelay } from "./relay.ts";

/**
 * Hosts of a network that are all on this machine: each a network namespace with an address of its own, joined
 * by a bridge that has a namespace to itself, so that neither Docker's nor the machine's own rules see it. What
 * is cut is cut by iptables inside a host. Linux only, and as root.
 */
export interface Hosts {
  /** The machine itself: tests, checkers and operators, and whoever looks at a host from outside. */
  readonly outside: Peer;
  /** Adds a host; its name, for example "account/1", may be used once. */
  addHost(name: string): Promise<NetworkHost>;
  /**
   * Gives something that listens on 127.0.0.1 of this machine an address of its own, at which hosts reach it,
   * on the same ports. It is no host: it is a host that is cut off from it.
   */
  addDoor(name: string, ports: readonly number[]): Promise<Peer>;
  /** Removes everything, and ends what still runs in a host. */
  close(): Promise<void>;
}

/** Somebody with an address in this network. */
export interface Peer {
  readonly name: string;
  readonly address: string;
}

/** Which packets of a host are lost: those that it would get, those that it sends, or both. */
export type Direction = "both" | "in" | "out";

export interface NetworkHost extends Peer {
  /** The words that, before a command line, run it in this host; the process keeps its pid. */
  readonly enter: readonly string[];
  spawn(command: string, args: readonly string[], options: SpawnOptions): ChildProcess;
  /**
   * Loses packets between this host and another, or all others, from now on: nobody is told, as where a cable
   * is pulled. Several cuts hold beside each other. Gives what ends this one.
   */
  cut(from: Peer | "all", direction: Direction): Promise<() => Promise<void>>;
  /** Ends every cut of this host. */
  heal(): Promise<void>;
}

/** Why there can be no hosts on this machine; `null` where there can. */
export function whyNoHosts(): string | null {
  if (process.platform !== "linux") return "network namespaces are of Linux";
  if (process.getuid?.() !== 0) return "network namespaces need root";
  for (const [program, argument, from] of programs) {
    const { status } = spawnSync(program, [argument], { stdio: "ignore" });
    if (status !== 0) return `the program \`${program}\` (${from}) is missing or may not be used`;
  }
  const trial = `foldlog-${process.pid}-trial`;
  const added = spawnSync("ip", ["netns", "add", trial], { encoding: "utf8" });
  if (added.status !== 0) return `no network namespace can be made: ${added.stderr.trim()}`;
  const tables = spawnSync("nsenter", [...into(trial), "iptables", "-w", "-S"], opaque);
  spawnSync("ip", ["netns", "delete", trial], { stdio: "ignore" });
  return tables.status === 0 ? null : `iptables does not work here: ${tables.stderr.trim()}`;
}

const programs = [
  ["ip", "-V", "package iproute2"],
  ["nsenter", "--version", "package util-linux"],
  ["iptables", "--version", "package iptables"],
] as const;
const opaque = { encoding: "utf8" } as const;

/**
 * Makes the network; removes what runs left whose process was killed. A guardian process removes this one when
 * it is closed, and also when this process ends without that.
 */
export async function openHosts(): Promise<Hosts> {
  const why = whyNoHosts();
  if (why !== null) throw new Error(`There can be no network hosts: ${why}.`);
  await sweepLeftovers();
  const runName = newRunName();
  const guardian = guard(runName);
  const net = freeNetwork();
  const addressOf = (n: number) => `${net}.${n}`;
  const bridge = `${runName}-switch`;
  const outside = { name: "outside", address: addressOf(1) };
  const names = new Set<string>();
  let relay: Relay | undefined;
  let last = 1;
  const next = (name: string): Peer => {
    if (names.has(name)) throw new Error(`There is a host ${name} already`);
    if (last === 254) throw new Error("No more than 253 hosts have an address");
    names.add(name);
    return { name, address: addressOf(++last) };
  };

  try {
    await addSwitch(bridge, linkOf(runName), outside.address);
  } catch (error) {
    await guardian.release();
    throw error;
  }
  return {
    outside,
    async addHost(name) {
      const peer = next(name);
      const namespace = `${runName}-${name.replaceAll("/", ".")}`;
      await joinSwitch(bridge, namespace, { port: `p${last}`, ...peer, outside: outside.address });
      return hostIn(namespace, peer);
    },
    async addDoor(name, ports) {
      const peer = next(name);
      await ip(["address", "add", `${peer.address}/24`, "dev", linkOf(runName)]);
      relay ??= await startRelay();
      for (const port of ports) await relay.open(peer.address, port);
      return peer;
    },
    async close() {
      relay?.close();
      await guardian.release();
    },
  };
}

/** A bridge in a namespace of its own, with the machine itself on it by a link. */
async function addSwitch(bridge: string, link: string, address: string): Promise<void> {
  await ip(["netns", "add", bridge]);
  await inside(bridge, ["link add br0 type bridge", "link set br0 up", "link set lo up"]);
  await ip(["link", "add", link, "type", "veth", "peer", "name", "outside", "netns", bridge]);
  await inside(bridge, ["link set outside master br0 up"]);
  await ip(["address", "add", `${address}/24`, "dev", link]);
  await ip(["link", "set", link, "up"]);
}

async function joinSwitch(
  bridge: string,
  namespace: string,
  host: { readonly port: string; readonly address: string; readonly outside: string },
): Promise<void> {
  await ip(["netns", "add", namespace]);
  await inside(bridge, [
    `link add ${host.port} type veth peer name eth0 netns ${namespace}`,
    `link set ${host.port} master br0 up`,
  ]);
  await inside(namespace, [
    "link set lo up",
    `address add ${host.address}/24 dev eth0`,
    "link set eth0 up",
    `route add default via ${host.outside}`,
  ]);
}

function hostIn(namespace: string, peer: Peer): NetworkHost {
  const cuts = new Set<readonly (readonly string[])[]>();
  const change = async (how: "-I" | "-D", rules: readonly (readonly string[])[]) => {
    for (const [chain, ...rule] of rules) {
      const args = ["iptables", "-w", how, String(chain), ...rule];
      await exec("nsenter", [...into(namespace), ...args]);
    }
  };
  const mend = async (rules: readonly (readonly string[])[]) => {
    if (cuts.delete(rules)) await change("-D", rules);
  };
  return {
    ...peer,
    enter: ["nsenter", ...into(namespace)],
    spawn: (command, args, options) =>
      spawn("nsenter", [...into(namespace), command, ...args], options),
    async cut(from, direction) {
      const rules = rulesOf(from, direction);
      await change("-I", rules);
      cuts.add(rules);
      return () => mend(rules);
    },
    async heal() {
      for (const rules of [...cuts]) await mend(rules);
    },
  };
}

/** What a host does to its own loop-back stays: its proxies are there. */
function rulesOf(from: Peer | "all", direction: Direction): readonly (readonly string[])[] {
  const isAll = from === "all";
  const input = ["INPUT", ...(isAll ? ["-i", "eth0"] : ["-s", from.address]), "-j", "DROP"];
  const output = ["OUTPUT", ...(isAll ? ["-o", "eth0"] : ["-d", from.address]), "-j", "DROP"];
  return [...(direction === "out" ? [] : [input]), ...(direction === "in" ? [] : [output])];
}

function into(namespace: string): readonly string[] {
  return [`--net=/run/netns/${namespace}`, "--"];
}

/** The first 24 bits of a network that nobody has here, in the range for the test of networks (RFC 2544). */
function freeNetwork(): string {
  const taken = new Set(
    Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .map(({ address }) => address.split(".").slice(0, 3).join(".")),
  );
  const candidates = Array.from({ length: 256 }, (_, i) => `198.18.${(process.pid + i) % 256}`);
  const free = candidates.find((net) => !taken.has(net));
  if (free === undefined) throw new Error("All networks 198.18.0.0 to 198.18.255.0 are taken");
  return free;
}

function inside(namespace: string, commands: readonly string[]): Promise<void> {
  return ip(["-n", namespace, "-batch", "-"], commands.map((line) => `${line}\n`).join(""));
}

function ip(args: readonly string[], input = ""): Promise<void> {
  return exec("ip", args, input);
}

/** @throws Error with what the program said */
function exec(command: string, args: readonly string[], input = ""): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = execFile(command, args, (error, _, stderr) => {
      if (error === null) resolve();
      else reject(new Error(`\`${command} ${args.join(" ")}\` failed: ${stderr.trim()}`));
    });
    child.stdin?.on("error", () => undefined); // It failed before it read: its exit code tells.
    child.stdin?.end(input);
  });
}

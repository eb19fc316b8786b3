import type { Clock } from "../../../engine/clock.ts";
import { kafkaLog } from "../../../engine/kafka/kafka-log.ts";
import { topics } from "../../../topics/catalog.ts";
import type { Fault } from "../plan.ts";
import { activeController, leaderOf } from "../processes/cluster-roles.ts";
import type { Addresses } from "../system.ts";
import type { Container, Containers } from "./containers.ts";

/** What a plan's faults do to containers. */

export interface FaultsOptions {
  readonly containers: Containers;
  readonly addresses: Addresses;
  readonly clock: Clock;
}

/** Ends a fault. */
export type Stop = () => Promise<void>;

/** What can be done to containers from outside. */
type Possible = Extract<Fault, { does: "kill" | "terminate" | "pause" | "isolate" | "storm" }>;

/** Why containers cannot do this to a bank; `null` where they can. */
export function whyNotHere(fault: Fault): string | null {
  if (!isPossible(fault)) {
    return `"${fault.does}" is for processes on this machine (npm run chaos), where more can be reached`;
  }
  return fault.does === "isolate" && fault.direction !== "both"
    ? "a container is cut off in both directions or not at all"
    : null;
}

function isPossible(fault: Fault): fault is Possible {
  return ["kill", "terminate", "pause", "isolate", "storm"].includes(fault.does);
}

/**
 * Begins a fault; resolves to what ends it, once it is in force.
 * @throws Error where containers cannot do it
 */
export async function beginFault(options: FaultsOptions, fault: Fault): Promise<Stop> {
  const { containers } = options;
  if (!isPossible(fault)) throw new Error(whyNotHere(fault) ?? fault.does);
  const target = await targetOf(options, fault.target);
  const start = (it: Container) => containers.start(it);
  switch (fault.does) {
    case "kill":
      return onEach(target, (it) => containers.kill(it), start);
    case "terminate":
      return onEach(target, (it) => containers.stop(it), start);
    case "pause":
      return onEach(
        target,
        (it) => containers.pause(it),
        (it) => containers.unpause(it),
      );
    case "isolate":
      return onEach(
        target,
        (it) => containers.disconnect(it),
        (it) => containers.connect(it),
      );
    case "storm":
      return storm(options, target, fault.everyMs);
  }
}

type Deed = (it: Container) => Promise<void>;

/** All at once; what was begun by half is undone. */
async function onEach(target: readonly Container[], begin: Deed, undo: Deed): Promise<Stop> {
  const end = async () => {
    await Promise.all(target.map(undo));
  };
  const begun = await Promise.allSettled(target.map(begin));
  const failed = begun.find((it) => it.status === "rejected");
  if (failed === undefined) return end;
  await end();
  throw failed.reason;
}

/** Who is meant now: of brokers also whoever leads, or controls. */
async function targetOf(
  { containers, addresses }: FaultsOptions,
  target: string,
): Promise<readonly Container[]> {
  const { kafkaBrokers } = addresses;
  if (target === "broker/leader") {
    return containers.at(named(await leaderOf(kafkaBrokers, await busiest(addresses)), target));
  }
  if (target === "broker/controller") {
    return containers.at(named(await activeController(kafkaBrokers), target));
  }
  return containers.at(target);
}

function named(broker: number | null, target: string): string {
  if (broker === null) throw new Error(`There is no ${target} now, or no broker answers.`);
  return `broker/${broker}`;
}

/** The partition with the most events, as far as accounts are alike the one with the most accounts. */
async function busiest({ kafkaBrokers }: Addresses) {
  const { name: topic, partitions } = topics.account.events;
  const settings = { clientId: "chaos", tls: null, sasl: null };
  const log = kafkaLog({ brokers: kafkaBrokers.split(","), ...settings });
  try {
    const reader = await log.openReader();
    let most = { topic, partition: 0, end: -1n };
    for (let partition = 0; partition < partitions; partition++) {
      const { end } = await reader.offsets({ topic, partition }, AbortSignal.timeout(askMs));
      if (end > most.end) most = { topic, partition, end };
    }
    await reader.close();
    return most;
  } finally {
    await log.close();
  }
}

const askMs = 10_000;

/** They go in order and come back, each in its turn. */
async function storm(
  { containers, clock }: FaultsOptions,
  members: readonly Container[],
  everyMs: number,
): Promise<Stop> {
  const over = new AbortController();
  const run = async () => {
    for (let turn = 0; !over.signal.aborted; turn++) {
      const member = members[turn % members.length];
      if (member === undefined) return;
      await containers.stop(member);
      await clock.sleep(everyMs, over.signal);
      await containers.start(member);
    }
  };
  const running = run();
  return async () => {
    over.abort();
    await running;
  };
}

import type { TopicPartition } from "../../engine/log.ts";
import type { MemoryLog } from "../../engine/testing/memory-log.ts";
import type { Network } from "../../engine/testing/network.ts";
import type { Fault } from "../chaos/plan.ts";
import type { Bank } from "./bank.ts";
import type { Idleness } from "./idleness.ts";
import { hashOf } from "./kernel.ts";
import type { Life } from "./life.ts";
import type { Disturbance, Request, Trap } from "./wire.ts";

/** Does to a simulated bank what the faults of a plan say. */

type Of<D extends Fault["does"]> = Extract<Fault, { does: D }>;

/** Said where a plan asks for what no simulator can do. */
export class CannotSimulate extends Error {
  override readonly name = "CannotSimulate";
}

/** How long a partition is without a leader after its broker was lost, in milliseconds. */
const electionMs = 700;
const groupWorkers = ["account", "balances", "statements"];

export class Nemesis {
  private readonly bank: Bank;
  private readonly idleness: Idleness;
  private readonly random: () => number;
  /** What a fault under way takes to end it. */
  private readonly ending = new Map<Fault, () => void>();
  /** Processes that a fault keeps down: nobody starts them before it is over. */
  readonly down = new Set<string>();
  private strangers = 0;

  constructor(bank: Bank, idleness: Idleness) {
    this.bank = bank;
    this.idleness = idleness;
    this.random = bank.kernel.fork("nemesis");
  }

  /** @throws CannotSimulate */
  begin(fault: Fault): void {
    this.ending.set(fault, this.do(fault));
  }

  end(fault: Fault): void {
    this.ending.get(fault)?.();
    this.ending.delete(fault);
  }

  /** Ends everything that is still in force. */
  heal(): void {
    for (const fault of [...this.ending.keys()]) this.end(fault);
    this.bank.wire.disturbances.clear();
    this.bank.wire.traps.length = 0;
    for (const life of this.bank.lives.values()) life.resume();
  }

  /** @returns how it is ended */
  private do(fault: Fault): () => void {
    if ("args" in fault) {
      this.operate(fault);
      return () => undefined;
    }
    switch (fault.does) {
      case "kill":
        return this.kill(fault);
      case "terminate":
        return this.terminate(fault);
      case "pause":
        return this.pause(fault);
      case "fail":
        return this.trap(fault);
      case "isolate":
        return this.isolate(fault);
      case "disturb":
        return this.disturb(fault);
      case "storm":
        return this.storm(fault);
      case "fill-disk":
        throw new CannotSimulate(`A simulated disk has no end: ${fault.id} cannot be simulated`);
    }
  }

  private kill({ target }: Of<"kill">): () => void {
    if (target.startsWith("broker")) return this.loseBroker(this.brokerOf(target));
    if (target === "postgres") {
      return this.withDisturbance({
        ...{ how: "cut", share: 1, ms: 0 },
        hits: (_, { broker }) => broker < 0,
      });
    }
    const name = this.nameOf(target);
    const life = this.bank.lives.get(name);
    if (life?.isAlive) this.bank.hit("kill", life);
    this.bank.kill(name);
    return this.keepDown([name]);
  }

  private terminate(fault: Of<"terminate">): () => void {
    if (/^(broker|postgres)/.test(fault.target)) return this.kill({ ...fault, does: "kill" });
    const name = this.nameOf(fault.target);
    const life = this.bank.lives.get(name);
    if (life?.isAlive) this.bank.hit("terminate", life);
    life?.stopping.abort();
    return this.keepDown([name]);
  }

  private pause({ target }: Of<"pause">): () => void {
    if (/^(broker|postgres)/.test(target)) {
      const isBroker = target.startsWith("broker");
      const broker = isBroker ? this.brokerOf(target) : -1;
      return this.withDisturbance({
        ...{ how: "stall", share: 1, ms: 4_000 },
        hits: (_, request) => (isBroker ? request.broker === broker : request.broker < 0),
      });
    }
    const life = this.bank.lives.get(this.nameOf(target));
    if (!life?.isAlive || life.isPaused) return () => undefined;
    this.bank.hit("pause", life);
    life.pause();
    return () => {
      life.resume();
    };
  }

  private trap({ target, point, times }: Of<"fail">): () => void {
    const trap: Trap = { target: this.nameOf(target), point, times };
    this.bank.wire.traps.push(trap);
    return () => {
      trap.times = 0;
    };
  }

  private isolate({ target, from, direction }: Of<"isolate">): () => void {
    const name = this.nameOf(target);
    const isPostgres = from === "postgres";
    const how = { both: "lose-request", in: "lose-answer", out: "lose-request" } as const;
    return this.withDisturbance({
      ...{ how: how[direction], share: 1, ms: 0 },
      hits: (life, { broker }) => life.name === name && broker < 0 === isPostgres,
    });
  }

  private disturb({ id, link, api, how, share, ms }: Of<"disturb">): () => void {
    if (link === "registry" || link === "http") {
      throw new CannotSimulate(`There is no ${link} in a simulation: ${id} cannot be simulated`);
    }
    const isPostgres = link === "postgres";
    const hits = (_: Life, request: Request) =>
      request.broker < 0 === isPostgres && (api === undefined || request.api === api);
    return this.withDisturbance({ how, share, ms, hits });
  }

  private storm({ target, everyMs }: Of<"storm">): () => void {
    const name = `${this.nameOf(target).split("/")[0] ?? ""}/9`;
    let isOver = false;
    this.down.add(name);
    const turn = () => {
      if (isOver) return;
      if (this.bank.isRunning(name)) void this.bank.stop(name);
      else this.bank.start(name);
      this.bank.kernel.at(everyMs, "storm", turn);
    };
    turn();
    return () => {
      isOver = true;
      void this.bank.stop(name);
    };
  }

  private operate(fault: Extract<Fault, { args: unknown }>): void {
    const { bank } = this;
    const { does, target, args } = fault;
    const number = (name: string, otherwise: number) => Number(args[name] ?? otherwise);
    if (does !== "idle") bank.hits.add(does, "bank");
    switch (does) {
      case "delete-store":
      case "restore-old-store":
      case "swap-stores":
        this.meddleWithStores(does, this.nameOf(target), args["how"] === "share");
        return;
      case "delete-group":
        bank.log.deleteOffsets(bank.groupOf(this.kindOf(target)));
        return;
      case "reset-group": {
        const kind = this.kindOf(target);
        for (const at of bank.partitionsOf(bank.topics.commands)) {
          const { start, end } = bank.log.bounds(at);
          bank.log.setOffset(
            bank.groupOf(kind),
            at,
            args["to"] === "latest" ? end : args["to"] === "beyond" ? end + 100n : start,
          );
        }
        return;
      }
      case "compact":
        for (const topic of [bank.topics.snapshots, bank.topics.events]) {
          for (const at of bank.partitionsOf(topic)) {
            const most = Number(bank.log.bounds(at).end);
            bank.log.compact(at, BigInt(Math.floor(most * this.random())));
          }
        }
        return;
      case "hang-transaction":
        void this.hangTransaction();
        return;
      case "idle":
        this.idleness.ask(number("days", 8), fault.for);
        return;
      case "fail-over-postgres":
        this.failOver(number("commits", 2));
        return;
      case "roll-brokers":
        this.rollBrokers();
        return;
      case "recreate-topic":
      case "add-partitions":
      case "register-breaking-schema":
      case "lock-tables":
      case "use-up-connections":
      case "lower-transaction-version":
        throw new CannotSimulate(`${fault.id} (${does}) cannot be simulated`);
    }
  }

  /** On disks that nobody has open: the worker is killed first and started again by its supervisor. */
  private meddleWithStores(
    does: "delete-store" | "restore-old-store" | "swap-stores",
    name: string,
    isShared: boolean,
  ): void {
    const { disks } = this.bank;
    this.bank.kill(name);
    if (does === "delete-store") disks.delete(name);
    if (does === "restore-old-store") disks.restore(name, this.random());
    if (does !== "swap-stores") return;
    const other = name === "account/1" ? "account/2" : "account/1";
    if (isShared) disks.share(name, other);
    else {
      this.bank.kill(other);
      disks.swap(name, other);
    }
  }

  /** A program of somebody else's begins a transaction on one of our topics, and goes away. */
  private async hangTransaction(): Promise<void> {
    const { bank } = this;
    const topics = [bank.topics.commands, bank.topics.events, bank.topics.replies];
    const topic = topics[Math.floor(this.random() * topics.length)] ?? bank.topics.commands;
    const partition = Math.floor(this.random() * bank.shape.partitions);
    const stops: Network = (call, handle) =>
      call.api === "EndTxn" ? new Promise(() => undefined) : Promise.resolve(handle());
    const log: MemoryLog = bank.log.via(stops);
    const writer = await log.openWriter({ transactionalId: `stranger-${this.strangers++}` });
    const of: TopicPartition = { topic: topic.name, partition };
    const record = { ...of, key: "never", value: Buffer.from("never"), headers: [], timestamp: 0 };
    await writer.transact({ records: [record], consumed: null });
  }

  private failOver(commits: number): void {
    const { bank } = this;
    void bank.database.failOver(commits, bank.partitionsOf(bank.topics.events));
    const end = this.withDisturbance({
      ...{ how: "cut", share: 1, ms: 0 },
      hits: (_, { broker }) => broker < 0,
    });
    bank.kernel.at(500, "the standby answers", end);
  }

  private rollBrokers(): void {
    const { kernel, shape } = this.bank;
    for (let broker = 0; broker < shape.brokers; broker++) {
      kernel.at(broker * 3_000, "roll", () => {
        kernel.at(2_000, "rolled", this.loseBroker(broker));
      });
    }
  }

  /** Its connections are cut; then others lead, and say for a while that they do not yet. */
  private loseBroker(broker: number): () => void {
    const { kernel, shape } = this.bank;
    const isIts = (_: Life, request: Request) => request.broker === broker;
    const cut = this.withDisturbance({ how: "cut", share: 1, ms: 0, hits: isIts });
    if (shape.brokers === 1) return cut;
    const writes = new Set([
      ...["InitProducerId", "AddPartitionsToTxn", "Produce", "AddOffsetsToTxn"],
      ...["TxnOffsetCommit", "EndTxn"],
    ]);
    let endElection = (): void => undefined;
    kernel.at(electionMs, "elected", () => {
      cut();
      endElection = this.withDisturbance({
        ...{ how: "refuse", share: 0.5, ms: 0 },
        hits: (life, request) => isIts(life, request) && writes.has(request.api),
      });
    });
    return () => {
      cut();
      endElection();
    };
  }

  private withDisturbance(disturbance: Disturbance): () => void {
    const { disturbances } = this.bank.wire;
    disturbances.add(disturbance);
    return () => {
      disturbances.delete(disturbance);
    };
  }

  private keepDown(names: readonly string[]): () => void {
    for (const name of names) this.down.add(name);
    return () => {
      for (const name of names) {
        this.down.delete(name);
        const wasThere = this.bank.lives.has(name);
        if (wasThere && !this.bank.isRunning(name)) this.bank.start(name);
      }
    };
  }

  private brokerOf(target: string): number {
    const { shape, topics } = this.bank;
    const [, which = "1"] = target.split("/");
    const at = /^\d+$/.test(which) ? Number(which) - 1 : hashOf(`${topics.events.name}/0`);
    return at % shape.brokers;
  }

  private nameOf(target: string): string {
    return target.includes("/") ? target : `${target}/1`;
  }

  private kindOf(target: string): string {
    const [kind = ""] = target.split("/");
    return groupWorkers.includes(kind) ? kind : "account";
  }
}

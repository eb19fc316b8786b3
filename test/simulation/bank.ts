import { runAssigned } from "../../engine/assignment.ts";
import { openCodec } from "../../engine/avro/avro-codec.ts";
import type { Codec } from "../../engine/codec.ts";
import { processCommands } from "../../engine/commands/command-processor.ts";
import { FatalError, messageOf, WriterLostError } from "../../engine/errors.ts";
import type { Reply } from "../../engine/generated.ts";
import type { Membership, OutRecord, TopicPartition } from "../../engine/log.ts";
import { runProjection } from "../../engine/projections/projector.ts";
import type { AnyProjection } from "../../engine/projection.ts";
import { Conversation } from "../../engine/sending/conversation.ts";
import { MemoryLog } from "../../engine/testing/memory-log.ts";
import { registryWith } from "../../engine/testing/memory-registry.ts";
import type { AggregateTopics } from "../../engine/topic.ts";
import { balances } from "../../processors/projections/balances.ts";
import { statements } from "../../processors/projections/statements.ts";
import type { AccountState } from "../../schemas/generated.ts";
import { accountDecider, bankTopics, createTopics, topicsOf } from "../bank.ts";
import { Database } from "./database.ts";
import { Disks } from "./disks.ts";
import type { Hits } from "./hits.ts";
import { hashOf, type Kernel } from "./kernel.ts";
import { Life } from "./life.ts";
import type { Shape } from "./shape.ts";
import { Wire } from "./wire.ts";

/** A simulated bank: brokers, Postgres, disks, and the processes that run the engine's own loops. */

/** A process that ended by an error of its own. */
export interface Ending {
  readonly name: string;
  readonly code: string;
  readonly message: string;
}

/** What a client was told. */
export interface Told {
  readonly number: number;
  readonly partition: number;
  readonly reply: Reply;
}

/** A command in the hands of a client, which sends it again by a new process when it was killed. */
export interface Sending {
  readonly number: number;
  readonly record: OutRecord;
}

interface Client {
  conversation: Conversation<Sending> | null;
  readonly unanswered: Map<number, Sending>;
}

/** One for all simulations of so many partitions: it holds no state but compiled schemas. */
const codecs = new Map<number, Promise<Codec>>();

function codecFor(topics: AggregateTopics): Promise<Codec> {
  const { partitions } = topics.commands;
  let codec = codecs.get(partitions);
  if (!codec) codecs.set(partitions, (codec = openBankCodec(topics)));
  return codec;
}

async function openBankCodec(topics: AggregateTopics): Promise<Codec> {
  const clock = { now: () => 0, random: () => 0, sleep: async () => undefined };
  const all = topicsOf(topics);
  const registry = await registryWith(all);
  const { signal } = new AbortController();
  const codec = await openCodec({ registry, topics: all, unknownIdWaitMs: 0, clock }, signal);
  // What looks like a schema id in some poison: asked for now, and known to be none from now on.
  await codec.learn([Buffer.from([0, 0x7f, 0xff, 0xff, 0xff])], signal);
  return codec;
}

export class Bank {
  readonly kernel: Kernel;
  readonly shape: Shape;
  readonly hits: Hits;
  readonly wire: Wire;
  readonly log: MemoryLog;
  readonly topics: AggregateTopics;
  readonly codec: Codec;
  readonly projections: readonly AnyProjection[];
  readonly database: Database;
  readonly disks: Disks;
  /** Process → its run now, or its last one. */
  readonly lives = new Map<string, Life>();
  readonly endings: Ending[] = [];
  readonly told: Told[] = [];
  readonly violations: string[] = [];
  private readonly clients = new Map<string, Client>();
  private readonly running = new Map<string, Promise<void>>();
  private readonly folds = new WeakMap<Life, number>();
  private readonly drawFold: () => number;
  private runs = 0;

  private constructor(kernel: Kernel, shape: Shape, hits: Hits, codec: Codec) {
    this.kernel = kernel;
    this.shape = shape;
    this.hits = hits;
    this.codec = codec;
    this.topics = bankTopics("simulated", shape.partitions);
    this.wire = new Wire(kernel, hits, shape.latencyMs);
    const marker = kernel.fork("markers");
    this.log = new MemoryLog({
      clock: kernel.clock("cluster", (sleeper) => {
        sleeper();
      }),
      cluster: {
        transactions: {
          markerMs: () => marker() * shape.markerMs,
          transactionTimeoutMs: 10_000,
        },
        groups: { sessionTimeoutMs: 10_000, heartbeatMs: 2_500 },
        brokerOf: (name) => hashOf(name) % shape.brokers,
      },
    });
    this.projections = [balances, statements].map((projection) => ({
      ...projection,
      topics: [this.topics.events],
    }));
    this.database = new Database(kernel, this.wire, this.projections);
    this.disks = new Disks({
      springs: (life, point) => this.wire.springs(life, point),
      torn: (what) => this.violations.push(what),
    });
    this.drawFold = kernel.fork("folds");
  }

  static async open(kernel: Kernel, shape: Shape, hits: Hits): Promise<Bank> {
    const codec = await codecFor(bankTopics("simulated", shape.partitions));
    const bank = new Bank(kernel, shape, hits, codec);
    await createTopics(bank.log, bank.topics);
    return bank;
  }

  partitionsOf(topic: { readonly name: string }): readonly TopicPartition[] {
    return Array.from({ length: this.shape.partitions }, (_, partition) => ({
      topic: topic.name,
      partition,
    }));
  }

  isRunning(name: string): boolean {
    return this.running.has(name) && this.lives.get(name)?.isAlive === true;
  }

  /** Starts a process, for example `account/1`; the one of that name that runs is killed first. */
  start(name: string): void {
    this.kill(name);
    const aheadMs = Math.floor((this.kernel.fork(`skew ${name}`)() - 0.5) * this.shape.skewMs);
    const life = new Life(this.kernel, name, { run: ++this.runs, aheadMs });
    this.lives.set(name, life);
    const [kind = ""] = name.split("/");
    const run = kind === "client" ? this.converse(life) : this.work(life, kind);
    const running = run.then(
      () => undefined,
      (error: unknown) => {
        if (life.isAlive) this.endings.push(endingOf(name, error));
      },
    );
    this.running.set(name, running);
    void running.then(() => {
      if (this.running.get(name) === running) this.running.delete(name);
      life.kill();
    });
  }

  kill(name: string): void {
    this.lives.get(name)?.kill();
    this.running.delete(name);
    const client = this.clients.get(name);
    void client?.conversation?.close(); // Only for its timer: a dead process closes nothing.
    if (client) client.conversation = null;
  }

  /** SIGTERM. Resolves when it has ended. */
  async stop(name: string): Promise<void> {
    this.lives.get(name)?.stopping.abort();
    await this.running.get(name);
  }

  /** A client sends it, now or as soon as it runs. */
  send(name: string, sending: Sending): void {
    const client = this.client(name);
    client.unanswered.set(sending.number, sending);
    if (client.conversation && this.isRunning(name)) client.conversation.send(sending);
  }

  get unanswered(): number {
    let sum = 0;
    for (const { unanswered } of this.clients.values()) sum += unanswered.size;
    return sum;
  }

  private client(name: string): Client {
    let client = this.clients.get(name);
    if (!client) this.clients.set(name, (client = { conversation: null, unanswered: new Map() }));
    return client;
  }

  private async converse(life: Life): Promise<void> {
    const client = this.client(life.name);
    const conversation = await Conversation.open<Sending>({
      log: this.log.via(this.wire.networkOf(life), life.clock),
      codec: this.codec,
      aggregates: [this.topics],
      replies: "awaited",
      silenceMs: null,
      clock: life.clock,
      onAnswer: ({ outgoing: { number, record }, reply }) => {
        client.unanswered.delete(number);
        this.told.push({ number, partition: record.partition, reply });
      },
      onTrouble: () => undefined,
    });
    client.conversation = conversation;
    for (const sending of client.unanswered.values()) conversation.send(sending);
    const { signal } = life.stopping;
    await new Promise<void>((resolve) => {
      const over = () => {
        resolve();
      };
      signal.addEventListener("abort", over);
      conversation.signal.addEventListener("abort", over);
      if (signal.aborted || conversation.isOver) over();
    });
    if (!signal.aborted) await conversation.settled(); // Throws what ended it.
    await conversation.close();
  }

  private async work(life: Life, kind: string): Promise<void> {
    const log = this.log.via(this.wire.networkOf(life), life.clock);
    const projection = this.projections.find(({ name }) => name === kind);
    const topic = projection ? this.topics.events : this.topics.commands;
    const instance = this.shape.areMembersNamed ? this.disks.instanceOf(life.name) : null;
    const group = { group: this.groupOf(kind), topics: [topic.name], instance };
    const membership = await log.join(group);
    try {
      await runAssigned(
        {
          membership,
          clock: life.clock,
          onAssigned: () => undefined,
          run: (of, stop) => {
            const phase = this.follow(life, of, stop);
            return projection
              ? this.project(life, { log, membership, projection, of, phase }, stop)
              : this.process(life, { log, membership, of, phase }, stop);
          },
        },
        life.stopping.signal,
      );
    } finally {
      await membership.leave();
    }
  }

  groupOf(kind: string): string {
    return `simulated.${kind}`;
  }

  /** Follows what a partition is doing, for the faults that hit it. */
  private follow(life: Life, of: TopicPartition, stop: AbortSignal): (phase: string) => void {
    const key = `${of.topic}/${of.partition}`;
    stop.addEventListener("abort", () => {
      if (!life.stopping.signal.aborted && life.isAlive) this.hit("lose-partition", life);
      life.phases.delete(key);
    });
    return (phase) => life.phases.set(key, phase);
  }

  /** Notes what a process was doing when something befell it. */
  hit(fault: string, life: Life): void {
    for (const phase of life.phases.values()) this.hits.add(fault, phase);
    for (const api of life.waitsFor.values()) this.hits.add(fault, api);
  }

  private process(
    life: Life,
    { log, membership, of, phase }: Running,
    stop: AbortSignal,
  ): Promise<"aborted" | "dropped"> {
    const openStore = this.disks.storesOf(life);
    const foldVersion = this.folds.get(life) ?? 1 + Math.floor(this.drawFold() * this.shape.folds);
    this.folds.set(life, foldVersion);
    return processCommands<AccountState>(
      {
        decider: { ...accountDecider, foldVersion },
        topics: this.topics,
        partition: of.partition,
        group: this.groupOf("account"),
        log,
        codec: this.codec,
        openStore: (name) => {
          phase("restoring");
          return openStore(name);
        },
        clock: life.clock,
        confirm: (it) => membership.confirm(it),
        limits: this.shape.commands,
        hooks: {
          opening: (reason) => {
            if (reason !== "assigned") this.requireConfirmed(life, `opened again (${reason})`);
            phase("opening");
          },
          stuck: () => undefined,
          ready: () => {
            if (this.wire.springs(life, "after:restore")) life.crash();
            phase("working");
          },
          committed: () => undefined,
          lag: () => undefined,
        },
      },
      stop,
    );
  }

  private async project(
    life: Life,
    { log, membership, projection, of, phase }: Running & { readonly projection: AnyProjection },
    stop: AbortSignal,
  ): Promise<"aborted" | "dropped"> {
    phase("projecting");
    return runProjection(
      {
        projection,
        topicPartition: of,
        reader: await log.openReader(),
        codec: this.codec,
        views: this.database.viewsOf(life, projection.name),
        clock: life.clock,
        confirm: (it) => membership.confirm(it),
        limits: this.shape.projections,
        hooks: {
          progress: () => undefined,
          retrying: ({ error }) => {
            if (error instanceof WriterLostError) this.requireConfirmed(life, "went on");
          },
          stopped: ({ coordinates, cause }) => {
            this.violations.push(
              `I8: ${projection.name} stands still at ${coordinates}: ${cause.message}`,
            );
          },
        },
      },
      stop,
    );
  }

  /** Law P1: after such an error nobody goes on without a heartbeat that was accepted just now. */
  private requireConfirmed(life: Life, did: string): void {
    if (life.heardAt === this.kernel.time) return;
    this.violations.push(`P1: ${life.name} ${did} without asking whether the partition is its own`);
  }
}

interface Running {
  readonly log: MemoryLog;
  readonly membership: Membership;
  readonly of: TopicPartition;
  readonly phase: (phase: string) => void;
}

function endingOf(name: string, error: unknown): Ending {
  const code = error instanceof FatalError ? error.code : "ERROR";
  return { name, code, message: messageOf(error) };
}

import { backOff, brokerBackoff, delayMs } from "../backoff.ts";
import { systemClock } from "../clock.ts";
import type { GroupOptions, Membership, TopicPartition } from "../log.ts";
import { assign } from "../assignor.ts";
import { KafkaClient } from "./client.ts";
import { type KafkaConfig, MemberAssignment, MemberMetadata } from "./kafkajs.ts";
import type { Broker } from "./kafkajs-types.ts";
import { definiteFailure, protocolCode } from "./failure.ts";

/** A member that is silent for so long is replaced; shorter than a broker's default minimum is refused. */
const sessionTimeoutMs = 10_000;
/** A member learns by it that another has died, or come; until then the partitions are nobody's. */
const heartbeatMs = 1_000;
const rebalanceTimeoutMs = 10_000;
/** Where the coordinator does not answer a goodbye, it finds out by itself. */
const leaveWithinMs = 3_000;
const protocolName = "foldlog-sticky";

const illegalGeneration = 22;
const unknownMember = 25;
const rebalanceInProgress = 27;
/** Another process has joined by the name of this one. */
const fencedInstance = 82;
const mustRejoin = new Set([illegalGeneration, unknownMember, rebalanceInProgress, fencedInstance]);
const noMemberNow = new Set([illegalGeneration, unknownMember, fencedInstance]);

/**
 * Membership in a consumer group, used for assignment alone. A rebalance does not stop the work: each
 * member goes on with what it has until it is told otherwise, since the fencing of the transactional
 * producer (or of the checkpoint) decides who may write.
 */
export class KafkaMembership implements Membership {
  /** Joins wait at the broker, and hold up what follows on their connection: heartbeats have another. */
  private readonly joins: KafkaClient;
  private readonly heartbeats: KafkaClient;
  private readonly options: GroupOptions;
  private readonly left = new AbortController();
  private readonly work: Promise<void>;
  private memberId = "";
  private instance: string | null;
  private generation = -1;
  private assigned: readonly TopicPartition[] = [];
  private version = 0;
  private seen = 0;
  private failure: Error | null = null;
  private wake: (() => void)[] = [];
  private early = new AbortController();

  constructor(config: KafkaConfig, options: GroupOptions) {
    this.joins = new KafkaClient(config);
    this.heartbeats = new KafkaClient(config);
    this.options = options;
    this.instance = options.instance ?? null;
    this.work = this.run();
  }

  async next(signal: AbortSignal): Promise<readonly TopicPartition[] | null> {
    while (!signal.aborted && !this.left.signal.aborted) {
      if (this.failure !== null) throw this.failure;
      if (this.seen !== this.version) {
        this.seen = this.version;
        return this.assigned;
      }
      await new Promise<void>((resolve) => {
        const done = () => {
          signal.removeEventListener("abort", done);
          resolve();
        };
        this.wake.push(done);
        signal.addEventListener("abort", done);
      });
    }
    return null;
  }

  async confirm({ topic, partition }: TopicPartition): Promise<boolean> {
    const generation = this.generation;
    try {
      await this.heartbeat();
    } catch {
      this.early.abort(); // Find out now what is wrong, not at the next heartbeat.
      return false;
    }
    return (
      generation === this.generation &&
      this.assigned.some((it) => it.topic === topic && it.partition === partition)
    );
  }

  async leave(): Promise<void> {
    if (this.left.signal.aborted) return;
    this.left.abort();
    this.notify();
    this.joins.close();
    const hurry = setTimeout(() => {
      this.heartbeats.close();
    }, leaveWithinMs);
    await this.work;
    try {
      const coordinator = await this.heartbeats.coordinatorOf("group", this.options.group);
      await coordinator.leaveGroup(this.identity());
    } catch {
      // The session times out instead.
    }
    clearTimeout(hurry);
    this.heartbeats.close();
  }

  private async run(): Promise<void> {
    let failures = 0;
    while (!this.left.signal.aborted) {
      try {
        await this.joinOnce();
        failures = 0;
        await this.beat();
      } catch (error) {
        this.failure = definiteFailure(`Joining group ${this.options.group}`, error);
        if (this.failure) break;
        this.forgetIdentity(protocolCode(error));
        await backOff(brokerBackoff, failures++, systemClock, this.left.signal);
        await this.joins.refresh();
      }
    }
    this.notify();
  }

  private async joinOnce(): Promise<void> {
    const groupId = this.options.group;
    const coordinator = await this.joins.coordinatorOf("group", groupId);
    const owned = Buffer.from(JSON.stringify(this.assigned.map(keyOf)));
    const joined = await coordinator.joinGroup({
      ...this.identity(),
      sessionTimeout: sessionTimeoutMs,
      rebalanceTimeout: rebalanceTimeoutMs,
      protocolType: "consumer",
      groupProtocols: [
        {
          name: protocolName,
          metadata: MemberMetadata.encode({
            version: 1,
            topics: [...this.options.topics],
            userData: owned,
          }),
        },
      ],
    });
    this.memberId = joined.memberId;
    const leads = joined.leaderId === joined.memberId;
    const { memberAssignment } = await coordinator.syncGroup({
      ...this.identity(),
      generationId: joined.generationId,
      groupAssignment: leads ? await this.assignAll(joined.members) : [],
    });
    this.generation = joined.generationId;
    this.assigned = decodeAssignment(memberAssignment);
    this.version++;
    this.notify();
  }

  private async assignAll(
    members: Awaited<ReturnType<Broker["joinGroup"]>>["members"],
  ): Promise<{ memberId: string; memberAssignment: Buffer }[]> {
    const keys: string[] = [];
    for (const topic of this.options.topics) {
      for (const partition of await this.joins.partitionsOf(topic))
        keys.push(keyOf({ topic, partition }));
    }
    const claims = members.map(({ memberId, memberMetadata }) => ({
      memberId,
      owned: ownedKeys(memberMetadata),
    }));
    return [...assign(keys.sort(byPartition), claims)].map(([memberId, mine]) => {
      const assignment: Record<string, number[]> = {};
      for (const key of mine) {
        const { topic, partition } = parseKey(key);
        (assignment[topic] ??= []).push(partition);
      }
      const userData = Buffer.alloc(0);
      return {
        memberId,
        memberAssignment: MemberAssignment.encode({ version: 1, assignment, userData }),
      };
    });
  }

  /** Heartbeats until the group rebalances or this member is told that it is none. */
  private async beat(): Promise<void> {
    for (let failures = 0; ;) {
      this.early = new AbortController();
      const wait = failures > 0 ? delayMs(brokerBackoff, failures, Math.random) : heartbeatMs;
      await systemClock.sleep(wait, this.early.signal, this.left.signal);
      if (this.left.signal.aborted) return;
      try {
        await this.heartbeat();
        failures = 0;
      } catch (error) {
        const failure = definiteFailure(`A heartbeat to group ${this.options.group}`, error);
        if (failure) throw failure;
        const code = protocolCode(error);
        if (code !== null && noMemberNow.has(code)) this.generation = -1;
        this.forgetIdentity(code);
        if (code !== null && mustRejoin.has(code)) return;
        failures++;
        await this.heartbeats.refresh();
      }
    }
  }

  private async heartbeat(): Promise<void> {
    const coordinator = await this.heartbeats.coordinatorOf("group", this.options.group);
    await coordinator.heartbeat({ ...this.identity(), groupGenerationId: this.generation });
  }

  private identity() {
    const { memberId, instance: groupInstanceId } = this;
    return { groupId: this.options.group, memberId, groupInstanceId };
  }

  /**
   * After an answer that says that this member is none. Where another process came by the same name, it has it: to
   * come back by it would throw that one out, and so on for ever.
   */
  private forgetIdentity(code: number | null): void {
    if (code === unknownMember || code === fencedInstance) this.memberId = "";
    if (code === fencedInstance) this.instance = null;
  }

  private notify(): void {
    const waiting = this.wake;
    this.wake = [];
    for (const resolve of waiting) resolve();
  }
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${partition}/${topic}`;
}

function parseKey(key: string): TopicPartition {
  const slash = key.indexOf("/");
  return { partition: Number(key.slice(0, slash)), topic: key.slice(slash + 1) };
}

function byPartition(a: string, b: string): number {
  return parseKey(a).partition - parseKey(b).partition || (a < b ? -1 : 1);
}

function ownedKeys(memberMetadata: Buffer): string[] {
  try {
    const owned: unknown = JSON.parse(String(MemberMetadata.decode(memberMetadata)?.userData));
    return Array.isArray(owned) ? owned.filter((key) => typeof key === "string") : [];
  } catch {
    return []; // A member of another make: it gets its share, and keeps nothing.
  }
}

function decodeAssignment(memberAssignment: Buffer): TopicPartition[] {
  const decoded = MemberAssignment.decode(memberAssignment);
  return Object.entries(decoded?.assignment ?? {}).flatMap(([topic, partitions]) =>
    partitions.map((partition) => ({ topic, partition })),
  );
}

import { assign } from "../assignor.ts";
import { backOff, brokerBackoff } from "../backoff.ts";
import { type Clock, isAborted } from "../clock.ts";
import type { Membership, TopicPartition } from "../log.ts";
import type { Call, Network } from "./network.ts";

/** What a group waits for; without it members never time out, and hear of a rebalance at once. */
export interface GroupTimes {
  /** A member that is silent for so long, or for up to half as long again, is replaced. */
  readonly sessionTimeoutMs: number;
  readonly heartbeatMs: number;
}

interface Member {
  readonly id: string;
  /** The name that a process keeps when it is started again (KIP-345). */
  readonly instance: string | null;
  readonly partitions: readonly TopicPartition[];
  assigned: readonly TopicPartition[];
  /** Halves of the session timeout without a heartbeat. */
  silence: number;
  readonly onRebalance: () => void;
}

/** The member must join again. */
class JoinAgain extends Error {
  override readonly name = "JoinAgain";
  /** Its generation is over; it was taken for dead; or another process has come by its name. */
  readonly why: "rebalance" | "unknown" | "fenced";
  constructor(why: JoinAgain["why"]) {
    super(`Join again: ${why}`);
    this.why = why;
  }
}

interface Joined {
  readonly memberId: string;
  readonly generation: number;
  readonly assigned: readonly TopicPartition[];
}

/**
 * The coordinator of a consumer group in memory. A rebalance is decided at once, and a member goes on with what
 * it had until it asks: so two may believe for a while that they own a partition, longer than on a broker.
 */
export class MemoryGroup {
  private readonly members = new Map<string, Member>();
  private readonly clock: Clock;
  readonly times: GroupTimes | null;
  /** Those whose name another process has now. */
  private readonly fenced = new Set<string>();
  private generation = 0;
  private joined = 0;

  constructor(clock: Clock, times: GroupTimes | null) {
    this.clock = clock;
    this.times = times;
  }

  enter(memberId: string, claim: Omit<Member, "id" | "silence">): Joined {
    this.requireUnfenced(memberId);
    let member = this.members.get(memberId);
    if (!member) {
      const predecessor = this.named(claim.instance);
      const { assigned } = predecessor ?? claim;
      member = { ...claim, id: `member-${++this.joined}`, silence: 0, assigned };
      this.members.set(member.id, member);
      if (predecessor) {
        this.members.delete(predecessor.id);
        this.fenced.add(predecessor.id);
      } else this.rebalance();
      if (this.times) void this.watch(member, this.times.sessionTimeoutMs);
    }
    member.silence = 0;
    return { memberId: member.id, generation: this.generation, assigned: member.assigned };
  }

  heartbeat(memberId: string, generation: number): void {
    this.requireUnfenced(memberId);
    const member = this.members.get(memberId);
    if (!member) throw new JoinAgain("unknown");
    member.silence = 0;
    if (generation !== this.generation) throw new JoinAgain("rebalance");
  }

  leave(memberId: string): void {
    if (this.members.delete(memberId)) this.rebalance();
  }

  private named(instance: string | null): Member | undefined {
    if (instance === null) return undefined;
    return [...this.members.values()].find((member) => member.instance === instance);
  }

  private requireUnfenced(memberId: string): void {
    if (this.fenced.has(memberId)) throw new JoinAgain("fenced");
  }

  private async watch(member: Member, sessionTimeoutMs: number): Promise<void> {
    while (this.members.get(member.id) === member) {
      await this.clock.sleep(sessionTimeoutMs / 2);
      member.silence++;
      if (member.silence > 2) this.leave(member.id);
    }
  }

  private rebalance(): void {
    this.generation++;
    const members = [...this.members.values()];
    const byKey = new Map<string, TopicPartition>();
    for (const it of members.flatMap(({ partitions }) => partitions)) byKey.set(keyOf(it), it);
    if (members.length === 0) return;
    const claims = members.map(({ id, assigned }) => ({
      memberId: id,
      owned: assigned.map(keyOf),
    }));
    const assignment = assign([...byKey.keys()], claims);
    for (const member of members) {
      member.assigned = (assignment.get(member.id) ?? []).map(
        (key) => byKey.get(key) as TopicPartition,
      );
    }
    for (const member of members) member.onRebalance();
  }
}

/** How a member reaches its group. */
export interface GroupLine {
  readonly network: Network;
  readonly clock: Clock;
  readonly broker: number;
}

/** A member of a group, as the process has it that joined: it knows what it was told last. */
export class MemoryMembership implements Membership {
  private readonly group: MemoryGroup;
  private readonly line: GroupLine;
  private readonly partitions: readonly TopicPartition[];
  private instance: string | null;
  private readonly left = new AbortController();
  private early = new AbortController();
  private memberId = "";
  private generation = -1;
  private assigned: readonly TopicPartition[] = [];
  private isNews = false;
  private waiting: (() => void)[] = [];

  constructor(
    group: MemoryGroup,
    line: GroupLine,
    of: { readonly partitions: readonly TopicPartition[]; readonly instance: string | null },
  ) {
    this.group = group;
    this.line = line;
    this.partitions = of.partitions;
    this.instance = of.instance;
    if (group.times) void this.run(group.times.heartbeatMs);
    else this.take(this.enter());
  }

  async next(signal: AbortSignal): Promise<readonly TopicPartition[] | null> {
    while (!signal.aborted && !this.left.signal.aborted) {
      if (this.isNews) {
        this.isNews = false;
        return this.assigned;
      }
      await new Promise<void>((resolve) => {
        const wake = () => {
          signal.removeEventListener("abort", wake);
          resolve();
        };
        this.waiting.push(wake);
        signal.addEventListener("abort", wake);
      });
    }
    return null;
  }

  async confirm({ topic, partition }: TopicPartition): Promise<boolean> {
    const { generation } = this;
    try {
      await this.heartbeat();
    } catch {
      this.early.abort(); // Find out now what is wrong, not at the next heartbeat.
      return false;
    }
    return (
      generation === this.generation &&
      !this.left.signal.aborted &&
      this.assigned.some((it) => it.topic === topic && it.partition === partition)
    );
  }

  async leave(): Promise<void> {
    if (this.left.signal.aborted) return;
    this.left.abort();
    this.wake();
    try {
      await this.ask("LeaveGroup", () => {
        this.group.leave(this.memberId);
      });
    } catch {
      // The session times out instead.
    }
  }

  private async run(heartbeatMs: number): Promise<void> {
    for (let failures = 0; !this.left.signal.aborted;) {
      try {
        this.take(await this.ask("JoinGroup", () => this.enter()));
        failures = 0;
        for (;;) {
          this.early = new AbortController();
          await this.line.clock.sleep(heartbeatMs, this.early.signal, this.left.signal);
          if (isAborted(this.left.signal)) return;
          await this.heartbeat();
        }
      } catch (error) {
        if (error instanceof JoinAgain) {
          if (error.why !== "rebalance") this.memberId = "";
          if (error.why === "fenced") this.instance = null;
          continue;
        }
        await backOff(brokerBackoff, failures++, this.line.clock, this.left.signal);
      }
    }
  }

  private enter(): Joined {
    const { partitions, assigned, instance } = this;
    const onRebalance = () => {
      if (!this.group.times && this.memberId !== "") this.take(this.enter());
    };
    return this.group.enter(this.memberId, { partitions, assigned, instance, onRebalance });
  }

  private heartbeat(): Promise<void> {
    return this.ask("Heartbeat", () => {
      this.group.heartbeat(this.memberId, this.generation);
    });
  }

  private take({ memberId, generation, assigned }: Joined): void {
    this.memberId = memberId;
    this.generation = generation;
    this.assigned = assigned;
    this.isNews = true;
    this.wake();
  }

  private ask<T>(api: Call["api"], handle: () => T): Promise<T> {
    const { network, broker } = this.line;
    return network({ api, by: null, broker }, handle);
  }

  private wake(): void {
    const { waiting } = this;
    this.waiting = [];
    for (const wake of waiting) wake();
  }
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}

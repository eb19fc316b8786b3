import { assign } from "../assignor.ts";
import type { Membership, TopicPartition } from "../log.ts";
import type { Network } from "./network.ts";

interface Member {
  readonly id: string;
  readonly partitions: readonly TopicPartition[];
  assigned: readonly TopicPartition[];
  /** The generation whose assignment this member has been told. */
  told: number;
  wake: (() => void)[];
}

/** A consumer group in memory. Members live until they leave or `expire` says that they have been silent. */
export class MemoryGroup {
  private readonly members = new Map<string, Member>();
  private readonly network: Network;
  private generation = 0;
  private joined = 0;

  constructor(network: Network) {
    this.network = network;
  }

  join(partitions: readonly TopicPartition[]): Membership {
    const id = `member-${++this.joined}`;
    const member: Member = { id, partitions, assigned: [], told: 0, wake: [] };
    this.members.set(id, member);
    this.rebalance();
    return {
      next: (signal) => this.next(member, signal),
      confirm: (of) =>
        this.network({ api: "Heartbeat", by: null }, () => this.owns(member, of)).catch(
          () => false,
        ),
      leave: async () => {
        this.members.delete(id);
        wake(member);
        this.rebalance();
      },
    };
  }

  private async next(
    member: Member,
    signal: AbortSignal,
  ): Promise<readonly TopicPartition[] | null> {
    while (!signal.aborted && this.members.has(member.id)) {
      if (member.told !== this.generation) {
        member.told = this.generation;
        return member.assigned;
      }
      await new Promise<void>((resolve) => {
        member.wake.push(resolve);
        signal.addEventListener(
          "abort",
          () => {
            resolve();
          },
          { once: true },
        );
      });
    }
    return null;
  }

  private owns(member: Member, { topic, partition }: TopicPartition): boolean {
    return (
      this.members.has(member.id) &&
      member.told === this.generation &&
      member.assigned.some((it) => it.topic === topic && it.partition === partition)
    );
  }

  private rebalance(): void {
    this.generation++;
    const members = [...this.members.values()];
    const byKey = new Map<string, TopicPartition>();
    for (const it of members.flatMap(({ partitions }) => partitions)) {
      byKey.set(`${it.topic}/${it.partition}`, it);
    }
    if (members.length === 0) return;
    const claims = members.map(({ id, assigned }) => ({
      memberId: id,
      owned: assigned.map(({ topic, partition }) => `${topic}/${partition}`),
    }));
    const assignment = assign([...byKey.keys()], claims);
    for (const member of members) {
      member.assigned = (assignment.get(member.id) ?? []).map(
        (key) => byKey.get(key) as TopicPartition,
      );
      wake(member);
    }
  }
}

function wake(member: Member): void {
  const waiting = member.wake;
  member.wake = [];
  for (const resolve of waiting) resolve();
}

import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, inject, test } from "vitest";
import { kafkaLog } from "../../engine/kafka/kafka-log.ts";
import type { Log, Membership } from "../../engine/log.ts";
import { until } from "../until.ts";

/** Members that have a name of their own, in a group on a real broker. */

const signal = new AbortController().signal;
const partitions = 4;
let log: Log;
let topic: string;

beforeAll(() => {
  log = kafkaLog({ brokers: [inject("kafkaBrokers")], clientId: "test", tls: null, sasl: null });
});
afterAll(async () => {
  await log.close();
});
beforeEach(async () => {
  topic = `membership-${randomUUID()}`;
  await log.createTopic({ name: topic, partitions, replicationFactor: 1, config: {} });
});

const join = (instance: string | null, group = topic): Promise<Membership> =>
  log.join({ group, topics: [topic], instance });
const assignedTo = async (member: Membership): Promise<readonly number[]> =>
  ((await member.next(signal)) ?? []).map(({ partition }) => partition).sort();
const all = Array.from({ length: partitions }, (_, partition) => partition);
const confirmed = async (member: Membership): Promise<readonly number[]> => {
  const held: number[] = [];
  for (const partition of all) if (await member.confirm({ topic, partition })) held.push(partition);
  return held;
};

/**
 * A member whose place is taken hears of it by its heartbeat, a second after it was assigned, and comes back without a
 * name, for which the group shares anew. What is so until then is told again, in another group, where it was told late.
 */
const beforeItHears = (assignedAt: number): boolean => Date.now() - assignedAt < 900;

test("a member that comes by the name of another has its partitions at once, and nobody else notices", async () => {
  const told = await until("a look before the one replaced hears of it", async () => {
    const group = randomUUID();
    const other = await join("other", group);
    await assignedTo(other);
    const before = await join("worker", group);
    const mine = await assignedTo(before);
    const assignedAt = Date.now();
    const others = await assignedTo(other);

    const after = await join("worker", group);
    const [taken, held] = [await assignedTo(after), await confirmed(after)];
    // The generation is the same as before, so only the member's id tells the two apart.
    const heldBefore = await confirmed(before);
    const isInTime = beforeItHears(assignedAt);
    for (const member of [before, after, other]) await member.leave();
    return isInTime && { mine, others, taken, held, heldBefore };
  });
  expect([...told.mine, ...told.others].sort()).toEqual(all);
  expect(told).toMatchObject({ taken: told.mine, held: told.mine, heldBefore: [] });
});

test("of two that come by one name the later keeps it, and the earlier goes on without: no duel", async () => {
  const [earlier, later] = await until("the later before the earlier hears of it", async () => {
    const group = randomUUID();
    const first = await join("worker", group);
    expect(await assignedTo(first)).toEqual(all);
    const assignedAt = Date.now();
    const second = await join("worker", group);
    const taken = await assignedTo(second);
    if (beforeItHears(assignedAt)) {
      expect(taken).toEqual(all);
      return [first, second] as const;
    }
    for (const member of [first, second]) await member.leave();
    return null;
  });
  const held = await until("the two to share the partitions", async () => {
    const [theirs, mine] = [await confirmed(earlier), await confirmed(later)];
    return theirs.length === 2 && mine.length === 2 ? [...theirs, ...mine] : null;
  });
  expect(held.sort()).toEqual(all);
  for (const member of [earlier, later]) await member.leave();
});

test("a member with a name that leaves makes room at once", async () => {
  const [leaving, staying] = [await join("one"), await join("two")];
  await until("the two to share the partitions", async () => {
    return (await confirmed(leaving)).length === 2 && (await confirmed(staying)).length === 2;
  });
  const leftAt = Date.now();
  await leaving.leave();
  await until(
    "the other to have all",
    async () => (await confirmed(staying)).length === partitions,
  );
  expect(Date.now() - leftAt).toBeLessThan(6_000); // A session is ten.
  await staying.leave();
});

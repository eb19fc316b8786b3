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

const join = (instance: string | null): Promise<Membership> =>
  log.join({ group: topic, topics: [topic], instance });
const assignedTo = async (member: Membership): Promise<readonly number[]> =>
  ((await member.next(signal)) ?? []).map(({ partition }) => partition).sort();
const all = Array.from({ length: partitions }, (_, partition) => partition);
const confirmed = async (member: Membership): Promise<readonly number[]> => {
  const held: number[] = [];
  for (const partition of all) if (await member.confirm({ topic, partition })) held.push(partition);
  return held;
};

test("a member that comes by the name of another has its partitions at once, and nobody else notices", async () => {
  const other = await join("other");
  await assignedTo(other);
  const before = await join("worker");
  const [mine, others] = await Promise.all([assignedTo(before), assignedTo(other)]);
  expect([...mine, ...others].sort()).toEqual(all);

  const after = await join("worker");
  expect(await assignedTo(after)).toEqual(mine);
  expect(await confirmed(after)).toEqual(mine);
  // The generation is the same as before, so only the member's id tells the two apart.
  expect(await confirmed(before)).toEqual([]);
  for (const member of [before, after, other]) await member.leave();
});

test("of two that come by one name the later keeps it, and the earlier goes on without: no duel", async () => {
  const earlier = await join("worker");
  expect(await assignedTo(earlier)).toEqual(all);
  const later = await join("worker");
  expect(await assignedTo(later)).toEqual(all);
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

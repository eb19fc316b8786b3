import fc from "fast-check";
import { expect, test } from "vitest";
import { PoisonError } from "../errors.ts";
import type { LogRecord, Reader } from "../log.ts";
import { eventKey } from "../message.ts";
import { doingTopics } from "../testing/doing.ts";
import {
  eventsAt,
  type Place,
  type Placed,
  type PlacedEvent,
  ReadStopped,
} from "./placed-events.ts";

const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);
const { signal } = new AbortController();

/** A log of one partition whose batches hold so many records; only some are of the aggregate. */
interface Given {
  readonly offsets: readonly bigint[];
  /** Other records, at every other offset up to here. */
  readonly end: bigint;
  readonly batch: number;
  readonly change?: (record: LogRecord) => LogRecord | null;
}

function record(key: string, offset: bigint): LogRecord {
  return { offset, key: Buffer.from(key), value: Buffer.from(key), timestamp: 0, headers: [] };
}

function logOf({ offsets, end, batch, change = (it) => it }: Given) {
  const records: LogRecord[] = [];
  let version = 0;
  for (let offset = 0n; offset < end; offset++) {
    const isOwn = offsets.includes(offset);
    if (isOwn) version += 1;
    const key = isOwn ? eventKey("a", version) : `other/${offset}`;
    const changed = change(record(key, offset));
    if (changed !== null) records.push(changed);
  }
  const reads: { readonly offset: bigint; readonly maxBytes: number }[] = [];
  const reader: Reader = {
    async read({ offset }, { maxBytes }) {
      reads.push({ offset, maxBytes });
      const wanted = BigInt(Math.max(batch, Math.floor(maxBytes / 256)));
      const next = offset + wanted < end ? offset + wanted : end;
      const slice = records.filter((it) => it.offset >= offset && it.offset < next);
      return { records: slice, next, start: 0n, stable: end, end };
    },
    offsets: async () => ({ start: 0n, stable: end, end }),
    close: async () => undefined,
  };
  const placed: Placed = {
    reader,
    codec: {
      encode: () => Buffer.alloc(0),
      learn: async () => undefined,
      decode: (_topic, value) => {
        if (value.length === 0) throw new PoisonError("TRUNCATED", "the bytes end too early");
        return { type: "Done", data: { said: value.toString() } };
      },
    },
    topic: doingTopics.events,
    partition: 0,
    aggregateId: "a",
  };
  const places: Place[] = offsets.map((offset, i) => ({ version: i + 1, offset }));
  return { placed, places, reads };
}

async function all(
  { placed, places }: ReturnType<typeof logOf>,
  until: AbortSignal = signal,
): Promise<readonly PlacedEvent[]> {
  const events: PlacedEvent[] = [];
  for await (const read of eventsAt(placed, places, until)) events.push(...read);
  return events;
}

const offsetsIn = (end: number) =>
  fc
    .uniqueArray(fc.integer({ min: 0, max: end - 1 }), { minLength: 1, maxLength: 40 })
    .map((some) => some.sort((a, b) => a - b).map(BigInt));

test(`every event comes once and in order, however they lie in the log (SEED=${seed})`, async () => {
  await fc.assert(
    fc.asyncProperty(offsetsIn(3_000), fc.integer({ min: 1, max: 50 }), async (offsets, batch) => {
      const log = logOf({ offsets, end: 3_000n, batch });
      const events = await all(log);
      expect(events.map(({ version, record: { offset } }) => [version, offset])).toEqual(
        offsets.map((offset, i) => [i + 1, offset]),
      );
      expect(events.every(({ version, data }) => data["said"] === `a/${version}`)).toBe(true);
      expect(log.reads.length).toBeLessThanOrEqual(offsets.length);
    }),
    { seed, numRuns: 100 },
  );
});

test("neighbours are read at once, and what lies far apart is not read through", async () => {
  const near = Array.from({ length: 30 }, (_, i) => BigInt(i * 50));
  const far = Array.from({ length: 30 }, (_, i) => BigInt(i * 1_000));
  const nearby = logOf({ offsets: near, end: 1_500n, batch: 1 });
  await all(nearby);
  expect(nearby.reads).toHaveLength(1);
  const apart = logOf({ offsets: far, end: 30_000n, batch: 1 });
  await all(apart);
  expect(apart.reads).toHaveLength(30);
  expect(Math.max(...apart.reads.map(({ maxBytes }) => maxBytes))).toBeLessThan(5_000);
});

test("one read asks for a megabyte at most", async () => {
  const offsets = Array.from({ length: 20_000 }, (_, i) => BigInt(i));
  const { placed, places, reads } = logOf({ offsets: offsets.slice(0, 1), end: 1n, batch: 1 });
  const many = offsets.map((offset, i) => ({ version: i + 1, offset }));
  await eventsAt(placed, [...places, ...many.slice(1)], signal).next();
  expect(reads[0]?.maxBytes).toBe(1_048_576);
});

test.each<[string, (record: LogRecord) => LogRecord | null, string]>([
  ["is gone", () => null, "no record stands there"],
  ["is another's", ({ offset }) => record("b/2", offset), 'the key there is not "a/2"'],
  ["is another version", ({ offset }) => record("a/3", offset), 'the key there is not "a/2"'],
  ["has been erased", (it) => ({ ...it, value: null }), "has been erased"],
])("an event that %s is a broken invariant, not an answer", async (_, change, says) => {
  const offsets = [3n, 5n, 9n];
  const spoiled = (it: LogRecord) => (it.offset === 5n ? change(it) : it);
  const reading = all(logOf({ offsets, end: 10n, batch: 1, change: spoiled }));
  await expect(reading).rejects.toMatchObject({ code: "BROKEN_INVARIANT" });
  await expect(reading).rejects.toThrow(says);
  await expect(reading).rejects.toThrow("/0/5");
});

test("an event that today's code cannot read is named", async () => {
  const change = (it: LogRecord) => ({ ...it, value: Buffer.alloc(0) });
  const reading = all(logOf({ offsets: [3n], end: 4n, batch: 1, change }));
  await expect(reading).rejects.toMatchObject({ code: "UNREADABLE_LOG" });
});

test("a broker that does not answer is waited for until the time is up", async () => {
  const log = logOf({ offsets: [0n, 5n], end: 10n, batch: 1 });
  const stopping = new AbortController();
  const silent: Reader = {
    ...log.placed.reader,
    read: async ({ offset }) => {
      stopping.abort();
      return { records: [], next: offset, start: 0n, stable: 10n, end: 10n };
    },
  };
  const reading = all({ ...log, placed: { ...log.placed, reader: silent } }, stopping.signal);
  await expect(reading).rejects.toBeInstanceOf(ReadStopped);
});

import { beforeEach, expect, test } from "vitest";
import type { Clock } from "../clock.ts";
import { FatalError } from "../errors.ts";
import { type MemoryRegistry, memoryRegistry } from "../testing/memory-registry.ts";
import { fingerprintOf, parseSchema } from "./avro-schema.ts";
import { SchemaLookup, type SchemaLookupOptions } from "./schema-lookup.ts";

const schema = { type: "record", name: "a.R", fields: [] };
const text = JSON.stringify(schema);

let registry: MemoryRegistry;
let nowMs = 0;
let sleepers: (() => void)[] = [];
let told: string[] = [];

/** Time passes by `advance` alone. */
const clock: Clock = {
  now: () => nowMs,
  random: () => 0.5,
  sleep: async (durationMs, ...signals) => {
    const due = nowMs + durationMs;
    while (nowMs < due && !signals.some(({ aborted }) => aborted)) {
      await new Promise<void>((resolve) => {
        sleepers.push(resolve);
        for (const signal of signals) {
          signal.addEventListener("abort", () => {
            resolve();
          });
        }
      });
    }
  },
};

/** Everything that does not wait for time has happened. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

async function advance(ms: number): Promise<void> {
  for (const end = nowMs + ms; nowMs < end;) {
    await settled();
    nowMs = Math.min(end, nowMs + 100);
    for (const wake of sleepers.splice(0)) wake();
  }
  await settled();
}

beforeEach(() => {
  registry = memoryRegistry();
  nowMs = 0;
  sleepers = [];
  told = [];
});

function lookupWith(options: Partial<SchemaLookupOptions> = {}): SchemaLookup {
  return new SchemaLookup({
    registry,
    clock,
    knownIds: new Map(),
    unknownIdWaitMs: 30_000,
    onRegistry: (state) => told.push(state),
    ...options,
  });
}

const never = new AbortController().signal;

/** Whether a promise has settled by now. */
function watched(work: Promise<void>): { readonly work: Promise<void>; done: boolean } {
  const watch = { work, done: false };
  const end = () => {
    watch.done = true;
  };
  work.then(end, end);
  return watch;
}

test("an id is asked for once, by however many at the same time", async () => {
  registry.put(7, text);
  const lookup = lookupWith();
  await Promise.all([lookup.learn([7, 7], never), lookup.learn([7], never)]);
  await lookup.learn([7], never);
  expect(lookup.get(7)).toMatchObject({ kind: "record", fullName: "a.R" });
  expect(registry.lookups).toBe(1);
});

test("ids that no registry gives are unknown without a question", async () => {
  const lookup = lookupWith();
  await lookup.learn([0, -1, -(2 ** 31)], never);
  expect(lookup.get(0)).toEqual({ kind: "unknown" });
  expect(lookup.get(-(2 ** 31))).toEqual({ kind: "unknown" });
  expect(registry.lookups).toBe(0);
});

test("an unknown id is waited for, all ids of a batch at once, and then remembered", async () => {
  const lookup = lookupWith();
  const learning = watched(lookup.learn([8, 9, 10], never));
  await advance(29_900);
  expect(learning.done).toBe(false);
  expect(lookup.get(8)).toBeUndefined();
  await advance(100);
  expect(learning.done).toBe(true);
  expect([8, 9, 10].map((id) => lookup.get(id)?.kind)).toEqual(["unknown", "unknown", "unknown"]);

  const asked = registry.lookups;
  await lookup.learn([8, 9, 10], never);
  expect(registry.lookups).toBe(asked);
  expect(asked).toBeLessThan(60);
});

test("an id that is registered while it is waited for is known", async () => {
  const lookup = lookupWith();
  const learning = watched(lookup.learn([8], never));
  await advance(5_000);
  registry.put(8, text);
  await advance(11_000);
  expect(learning.done).toBe(true);
  expect(lookup.get(8)?.kind).toBe("record");
});

test("an id that is registered after it was given up is known within a minute, with no wait", async () => {
  const lookup = lookupWith({ unknownIdWaitMs: 1_000 });
  const first = watched(lookup.learn([8], never));
  await advance(1_000);
  expect(first.done).toBe(true);
  await advance(60_000);
  const again = watched(lookup.learn([8], never));
  await settled();
  expect(again.done).toBe(true); // Still unknown: nobody waits a second time.
  expect(lookup.get(8)?.kind).toBe("unknown");

  registry.put(8, text);
  await advance(60_000);
  await lookup.learn([8], never);
  expect(lookup.get(8)?.kind).toBe("record");
});

test.each(["unreachable", "unauthorized"] as const)(
  "a registry that is %s is waited for without end, and that does not count as an unknown id",
  async (state) => {
    registry.put(7, text);
    registry.state = state;
    const lookup = lookupWith();
    const learning = watched(lookup.learn([7, 8], never));
    await advance(600_000);
    expect(learning.done).toBe(false);
    expect(lookup.get(8)).toBeUndefined();
    expect(told).toEqual(["unreachable"]);

    registry.state = "answers";
    await advance(10_000);
    expect(lookup.get(7)?.kind).toBe("record");
    expect(told).toEqual(["unreachable", "answers"]);
    expect(learning.done).toBe(false);
    await advance(30_000);
    expect(lookup.get(8)?.kind).toBe("unknown");
  },
);

test("who is told to stop waits no longer, and the others are served", async () => {
  registry.state = "unreachable";
  const lookup = lookupWith();
  const stop = new AbortController();
  const leaving = watched(lookup.learn([7], stop.signal));
  const staying = watched(lookup.learn([7], never));
  await advance(1_000);
  stop.abort();
  await settled();
  expect([leaving.done, staying.done]).toEqual([true, false]);
  await lookup.learn([7], stop.signal); // And who comes with a signal that has aborted does not wait.

  registry.put(7, text);
  registry.state = "answers";
  await advance(10_000);
  expect(staying.done).toBe(true);
  expect(lookup.get(7)?.kind).toBe("record");
});

test("a lookup that nobody waits for ends", async () => {
  registry.state = "unreachable";
  const lookup = lookupWith();
  const stop = new AbortController();
  const leaving = lookup.learn([7], stop.signal);
  await advance(1_000);
  stop.abort();
  await leaving;
  const asked = registry.lookups;
  await advance(60_000);
  expect(registry.lookups).toBe(asked);
});

test("no more than eight questions are under way at once", async () => {
  const open: (() => void)[] = [];
  let most = 0;
  const slow = memoryRegistry();
  slow.schemaById = async () => {
    await new Promise<void>((resolve) => {
      most = Math.max(most, open.push(resolve));
    });
    return { format: "AVRO", text };
  };
  const lookup = lookupWith({ registry: slow });
  const learning = watched(
    lookup.learn(
      Array.from({ length: 100 }, (_, i) => i + 1),
      never,
    ),
  );
  for (let served = 0; served < 100; served++) {
    await settled();
    open.shift()?.();
  }
  await settled();
  expect(learning.done).toBe(true);
  expect(most).toBe(8);
});

test("an id that means another schema than was recorded is fatal", async () => {
  registry.put(7, text);
  const right = lookupWith({ knownIds: new Map([[7, fingerprintOf(parseSchema(schema))]]) });
  await right.learn([7], never);

  const wrong = lookupWith({ knownIds: new Map([[7, "f".repeat(64)]]) });
  await expect(wrong.learn([7], never)).rejects.toMatchObject({ code: "SCHEMA_DRIFT" });
  expect(() => wrong.remember(7, schema)).toThrow(FatalError);
});

test("a recorded id that the registry has lost is fatal, not poison", async () => {
  const lookup = lookupWith({ knownIds: new Map([[7, "f".repeat(64)]]), unknownIdWaitMs: 0 });
  await expect(lookup.learn([7], never)).rejects.toMatchObject({ code: "SCHEMA_DRIFT" });
});

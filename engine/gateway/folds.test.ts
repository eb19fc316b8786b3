import { describe, expect, test } from "vitest";
import { accountDecider } from "../../test/bank.ts";
import { doingTopics } from "../testing/doing.ts";
import { type Fold, foldMemory, foldOn } from "./folds.ts";
import { type Place, type Placed, ReadStopped } from "./placed-events.ts";

const balance = (balanceCents: number) => ({ status: "open", owner: "Ada", balanceCents });

describe("a fold", () => {
  /** A log of deposits of 1 that stops to answer after so many reads. */
  function deposits(reads: number, stopping: AbortController): Placed {
    let left = reads;
    return {
      reader: {
        async read({ offset }) {
          const stopped = { start: 0n, stable: 0n, end: 0n };
          if (left-- === 0) {
            stopping.abort();
            return { records: [], next: offset, ...stopped };
          }
          const records = Array.from({ length: 100 }, (_, i) => ({
            offset: offset + BigInt(i),
            key: Buffer.from(`a/${offset + BigInt(i) + 1n}`),
            value: Buffer.alloc(1),
            timestamp: 0,
            headers: [],
          }));
          return { records, next: offset + 100n, ...stopped };
        },
        offsets: async () => ({ start: 0n, stable: 0n, end: 0n }),
        close: async () => undefined,
      },
      codec: {
        encode: () => Buffer.alloc(0),
        learn: async () => undefined,
        decode: () => ({ type: "FundsDeposited", data: { amountCents: 1, reference: null } }),
      },
      topic: doingTopics.events,
      partition: 0,
      aggregateId: "a",
    };
  }

  async function* places(after: number, count: number): AsyncGenerator<readonly Place[]> {
    yield Array.from({ length: count }, (_, i) => ({
      version: after + i + 1,
      offset: BigInt(after + i),
    }));
  }

  test("that runs out of time has kept how far it came, and goes on from there", async () => {
    const memory = foldMemory();
    const keep = (fold: Fold) => {
      memory.keep(["account", "a"], fold);
    };
    const run = async (from: Fold, reads: number) => {
      const stopping = new AbortController();
      const placed = deposits(reads, stopping);
      const pages = places(from.version, 1_000 - from.version);
      return foldOn({ decider: accountDecider, placed, keep }, from, pages, stopping.signal);
    };
    const begin = { version: 0, state: balance(0) };
    await expect(run(begin, 7)).rejects.toBeInstanceOf(ReadStopped);
    const half = memory.upTo(["account", "a"], 1_000);
    expect(half).toEqual({ version: 700, state: balance(700) });
    expect(await run(half as Fold, 3)).toEqual({ version: 1_000, state: balance(1_000) });
  });
});

describe("the memory of folds", () => {
  const fold = (version: number) => ({ version, state: balance(version) });

  test("gives a state that is not after the version asked for", () => {
    const memory = foldMemory();
    memory.keep(["account", "a"], fold(700));
    expect(memory.upTo(["account", "a"], 699)).toBeNull();
    expect(memory.upTo(["account", "a"], 700)).toEqual(fold(700));
    expect(memory.upTo(["account", "a"], 9_000)).toEqual(fold(700));
    expect(memory.upTo(["account", "b"], 9_000)).toBeNull();
    expect(memory.upTo(["card", "a"], 9_000)).toBeNull();
  });

  test("gives the latest of several, and an earlier one for an earlier state", () => {
    const memory = foldMemory();
    for (const version of [700, 9_000, 2_000]) memory.keep(["account", "a"], fold(version));
    expect(memory.upTo(["account", "a"], 10_000)).toEqual(fold(9_000));
    expect(memory.upTo(["account", "a"], 8_999)).toEqual(fold(2_000));
    expect(memory.upTo(["account", "a"], 1_999)).toEqual(fold(700));
  });

  test("is bounded: what was used longest ago goes first", () => {
    const memory = foldMemory();
    for (let i = 0; i < 64; i++) memory.keep(["account", String(i)], fold(500));
    memory.upTo(["account", "0"], 500);
    memory.keep(["account", "new"], fold(500));
    expect(memory.upTo(["account", "0"], 500)).not.toBeNull();
    expect(memory.upTo(["account", "1"], 500)).toBeNull();
    expect(memory.upTo(["account", "new"], 500)).not.toBeNull();
  });
});

import { expect, test } from "vitest";
import type { Reader } from "../log.ts";
import { ReadStopped } from "./placed-events.ts";
import { Problem } from "./problem.ts";
import { openReaders } from "./readers.ts";

const { signal } = new AbortController();

function logOfReaders() {
  const counts = { opened: 0, closed: 0 };
  const openReader = async (): Promise<Reader> => {
    counts.opened += 1;
    return {
      read: async () => {
        throw new Error("nobody reads");
      },
      offsets: async () => {
        throw new Error("nobody reads");
      },
      close: async () => {
        counts.closed += 1;
      },
    };
  };
  return { counts, openReader };
}

/** Work that goes on until it is told to end. */
function held() {
  let end: () => void = () => undefined;
  const done = new Promise<void>((resolve) => (end = resolve));
  return {
    work: async () => done,
    end: () => {
      end();
    },
  };
}

const turn = async () => new Promise((resolve) => setImmediate(resolve));

test("a reader is lent again and again, and never to two at once", async () => {
  const log = logOfReaders();
  const readers = openReaders(log, { readers: 2, waiting: 100 });
  const inUse = new Set<Reader>();
  const work = async (reader: Reader) => {
    expect(inUse.has(reader)).toBe(false);
    inUse.add(reader);
    await turn();
    inUse.delete(reader);
  };
  await Promise.all(Array.from({ length: 50 }, async () => readers.lend(work, signal)));
  expect(log.counts).toEqual({ opened: 2, closed: 0 });
  await readers.close();
  expect(log.counts.closed).toBe(2);
});

test("whoever waits gets the turn in order, and too many are refused at once", async () => {
  const readers = openReaders(logOfReaders(), { readers: 1, waiting: 2 });
  const order: string[] = [];
  const first = held();
  const lent = [
    readers.lend(first.work, signal),
    readers.lend(async () => order.push("second"), signal),
    readers.lend(async () => order.push("third"), signal),
  ];
  await expect(readers.lend(first.work, signal)).rejects.toMatchObject({ code: "NOT_READY" });
  await expect(readers.lend(first.work, signal)).rejects.toBeInstanceOf(Problem);
  first.end();
  await Promise.all(lent);
  expect(order).toEqual(["second", "third"]);
});

test("who gives up waiting leaves the queue, and the turn goes to the next", async () => {
  const readers = openReaders(logOfReaders(), { readers: 1, waiting: 5 });
  const first = held();
  const leaving = new AbortController();
  const lent = readers.lend(first.work, signal);
  const left = readers.lend(async () => "never", leaving.signal);
  const next = readers.lend(async () => "next", signal);
  leaving.abort();
  await expect(left).rejects.toBeInstanceOf(ReadStopped);
  first.end();
  await lent;
  expect(await next).toBe("next");
  await expect(readers.lend(async () => "after", leaving.signal)).resolves.toBe("after");
});

test("a reader whose work has failed is not lent again", async () => {
  const log = logOfReaders();
  const readers = openReaders(log, { readers: 1, waiting: 0 });
  const fail = async () => {
    throw new Error("lost");
  };
  await expect(readers.lend(fail, signal)).rejects.toThrow("lost");
  await readers.lend(async () => undefined, signal);
  expect(log.counts).toEqual({ opened: 2, closed: 1 });
});

import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Worker } from "node:worker_threads";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { TransientError, WriterLostError } from "../errors.ts";
import { MemoryStoreFiles } from "../testing/memory-store.ts";
import { sqliteStores } from "./sqlite-store.ts";
import { type OpenStore, Section, type Store } from "./store.ts";

const folder = mkdtempSync(join(tmpdir(), "foldlog-store-"));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const bytes = (text: string) => Buffer.from(text);
const texts = (entries: Iterable<readonly [string, Buffer]>) =>
  [...entries].map(([key, value]) => [key, String(value)]);

let opened = 0;
describe.each<[string, () => OpenStore]>([
  ["in memory", () => new MemoryStoreFiles().open],
  ["in SQLite", () => sqliteStores(join(folder, String(opened++)))],
])("a store %s", (_, stores) => {
  let open: OpenStore;
  let store: Store;
  beforeEach(async () => {
    open = stores();
    store = await open("bank.account.commands/3");
  });

  test("is empty at first, and gives back what was written with its checkpoint", async () => {
    expect([store.checkpoint(), store.get("sa")]).toEqual([null, null]);
    expect(
      store.replace(
        null,
        bytes("1"),
        new Map([
          ["sa", bytes("x")],
          ["sé/\n", bytes("y")],
        ]),
      ),
    ).toBe(true);
    await store.close();
    const again = await open("bank.account.commands/3");
    expect(String(again.checkpoint())).toBe("1");
    expect(String(again.get("sa"))).toBe("x");
    expect(String(again.get("sé/\n"))).toBe("y");
    await again.close();
  });

  test("is another one under another name", async () => {
    store.replace(null, bytes("1"), new Map([["sa", bytes("x")]]));
    const other = await open("bank.account.commands/4");
    expect(other.get("sa")).toBeNull();
  });

  test("writes nothing where the checkpoint is not the expected one", () => {
    store.replace(null, bytes("1"), new Map());
    const changes = new Map([["sa", bytes("x")]]);
    expect(store.replace(null, bytes("2"), changes)).toBe(false);
    expect(store.replace(bytes("0"), bytes("2"), changes)).toBe(false);
    expect([String(store.checkpoint()), store.get("sa")]).toEqual(["1", null]);
  });

  test("shows one handle what another has written, and lets only one of two writers go on", async () => {
    const other = await open("bank.account.commands/3");
    expect(store.replace(null, bytes("mine"), new Map([["sa", bytes("x")]]))).toBe(true);
    expect(String(other.get("sa"))).toBe("x");
    expect(other.replace(bytes("mine"), bytes("theirs"), new Map())).toBe(true);
    expect(store.replace(bytes("mine"), bytes("mine again"), new Map())).toBe(false);
  });

  test("lists a prefix in order from a key on, and nothing beside it", () => {
    const keys = ["o02", "o10", "o01", "p01", "n9", "o"];
    store.replace(null, bytes("1"), new Map(keys.map((key) => [key, bytes(key)])));
    expect(texts(store.range("o", "o")).map(([key]) => key)).toEqual(["o", "o01", "o02", "o10"]);
    expect(texts(store.range("o", "o02")).map(([key]) => key)).toEqual(["o02", "o10"]);
  });

  test("lists many, also while others are read and written", () => {
    const keys = Array.from({ length: 350 }, (_, i) => `o${String(i).padStart(3, "0")}`);
    store.replace(null, bytes("1"), new Map(keys.map((key) => [key, bytes(key)])));
    const found: string[] = [];
    for (const [key] of store.range("o", "o")) {
      found.push(key);
      if (key === "o120") store.replace(bytes("1"), bytes("2"), new Map([["o121", null]]));
      if (key === "o007") expect(texts(store.range("o", "o34"))).toHaveLength(10);
    }
    expect(found).toEqual(keys.filter((key) => key !== "o121" || found.includes(key)));
    expect(found.length).toBeGreaterThanOrEqual(349);
  });

  test("gives bytes that stay as they are when other entries are read and written", () => {
    store.replace(
      null,
      bytes("1"),
      new Map([
        ["sa", bytes("first")],
        ["sb", bytes("other")],
      ]),
    );
    const first = store.get("sa");
    const listed = [...store.range("s", "s")];
    store.get("sb");
    store.replace(bytes("1"), bytes("2"), new Map([["sa", bytes("later")]]));
    expect(String(first)).toBe("first");
    expect(texts(listed)).toEqual([
      ["sa", "first"],
      ["sb", "other"],
    ]);
  });

  test("is emptied by who knows its checkpoint, which changes with it", () => {
    store.replace(null, bytes("1"), new Map([["sa", bytes("x")]]));
    expect(store.empty(null, bytes("2"))).toBe(false);
    expect([String(store.checkpoint()), String(store.get("sa"))]).toEqual(["1", "x"]);
    expect(store.empty(bytes("1"), bytes("2"))).toBe(true);
    expect([String(store.checkpoint()), store.get("sa"), [...store.range("s", "s")]]).toEqual([
      "2",
      null,
      [],
    ]);
  });

  test("a section shows its unwritten changes in front of what is stored", () => {
    const section = new Section(store, "q");
    const write = (expected: Buffer | null, next: string) => {
      const changes = new Map<string, Buffer | null>();
      section.drainInto(changes);
      expect(store.replace(expected, bytes(next), changes)).toBe(true);
    };
    for (const name of ["01", "02", "03"]) section.set(name, bytes(name));
    write(null, "1");
    section.delete("01");
    section.set("04", bytes("04"));
    expect(texts(section.inOrder()).map(([name]) => name)).toEqual(["02", "03", "04"]);
    expect(section.get("01")).toBeNull();
    expect(section.first()?.[0]).toBe("02");
    section.delete("02");
    section.delete("03");
    section.delete("04");
    expect(section.first()).toBeNull();
    section.set("05", bytes("05"));
    section.set("01", bytes("again"));
    write(bytes("1"), "2");
    expect(texts(section.inOrder())).toEqual([
      ["01", "again"],
      ["05", "05"],
    ]);
  });
});

test("a file that is no store is deleted and made anew", async () => {
  const path = join(folder, "torn");
  const store = await sqliteStores(path)("x/0");
  store.replace(null, bytes("1"), new Map());
  await store.close();
  writeFileSync(join(path, "x", "0", "store.db"), "torn".repeat(5_000));
  const again = await sqliteStores(path)("x/0");
  expect(again.checkpoint()).toBeNull();
  expect(again.replace(null, bytes("1"), new Map([["sa", bytes("x")]]))).toBe(true);
  await again.close();
});

test("a file that is damaged while it is used is deleted, and whoever uses it starts again", async () => {
  const path = join(folder, "damaged");
  const store = await sqliteStores(path)("x/0");
  const many = Array.from({ length: 2_000 }, (_, i) => [`s${i}`, bytes("x".repeat(100))] as const);
  store.replace(null, bytes("1"), new Map(many));
  await store.close();
  const file = join(path, "x", "0", "store.db");
  const contents = readFileSync(file);
  contents.fill(0xaa, 4_096 * 2); // The first pages, and so the header, stay as they are.
  writeFileSync(file, contents);
  const again = await sqliteStores(path)("x/0");
  expect(() => many.map(([key]) => again.get(key))).toThrow(WriterLostError);
  await again.close();
  const anew = await sqliteStores(path)("x/0");
  expect(anew.checkpoint()).toBeNull();
  await anew.close();
});

test("a folder that cannot be written is something that time may cure", async () => {
  const path = join(folder, "file-in-the-way");
  writeFileSync(path, "");
  await expect(sqliteStores(path)("x/0")).rejects.toBeInstanceOf(TransientError);
});

describe("where another process stands still in the middle of a write", () => {
  /** Long enough for a busy machine, and half of what a session bears. */
  const briefMs = 5_000;
  let open: OpenStore;
  let file: string;
  let store: Store;
  let stopped: DatabaseSync;
  beforeEach(async () => {
    const path = join(folder, `stopped-${opened++}`);
    open = sqliteStores(path);
    file = join(path, "x", "0", "store.db");
    store = await open("x/0");
    store.replace(null, bytes("theirs"), new Map([["sa", bytes("x")]]));
    stopped = new DatabaseSync(file);
    stopped.exec("begin immediate");
  });
  afterEach(async () => {
    if (stopped.isOpen) stopped.close();
    await store.close();
  });

  test("a store is opened at once, and is an empty one of its own", async () => {
    const startedAt = performance.now();
    const own = await open("x/0");
    expect([own.checkpoint(), own.get("sa")]).toEqual([null, null]);
    expect(own.empty(null, bytes("1"))).toBe(true);
    expect(own.replace(bytes("1"), bytes("mine"), new Map([["sa", bytes("y")]]))).toBe(true);
    expect(performance.now() - startedAt).toBeLessThan(briefMs);
    const another = await open("x/0");
    expect(another.checkpoint()).toBeNull();
    expect([String(own.checkpoint()), String(own.get("sa"))]).toEqual(["mine", "y"]);
    await own.close();
    await another.close();
  });

  test("the next one to open has the file again, once that process goes on or is no more", async () => {
    const own = await open("x/0");
    own.replace(null, bytes("mine"), new Map());
    await own.close();
    stopped.close();
    const again = await open("x/0");
    expect([String(again.checkpoint()), String(again.get("sa"))]).toEqual(["theirs", "x"]);
    expect(readdirSync(dirname(file)).filter((name) => !name.startsWith("store.db"))).toEqual([]);
    await again.close();
  });

  test("who was at work in the file is soon told to try again", () => {
    const startedAt = performance.now();
    expect(() => store.replace(bytes("theirs"), bytes("2"), new Map())).toThrow(TransientError);
    expect(performance.now() - startedAt).toBeLessThan(briefMs);
  });
});

test("who comes to write while another does waits for it", async () => {
  const path = join(folder, "both-write");
  const store = await sqliteStores(path)("x/0");
  store.replace(null, bytes("1"), new Map());
  const other = new Worker(
    `const { DatabaseSync } = require("node:sqlite");
     const { parentPort, workerData } = require("node:worker_threads");
     const database = new DatabaseSync(workerData);
     parentPort.on("message", () => {
       database.exec("begin immediate");
       parentPort.postMessage("writing");
       Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
       database.exec("commit");
     });`,
    { eval: true, workerData: join(path, "x", "0", "store.db") },
  );
  const writeMeanwhile = async () => {
    other.postMessage("write");
    await once(other, "message");
    try {
      return store.replace(bytes("1"), bytes("1"), new Map());
    } catch {
      return false; // A busy machine: the other one has not been let go on.
    }
  };
  let written = false;
  for (let i = 0; i < 30 && !written; i++) written = await writeMeanwhile();
  expect(written).toBe(true);
  await other.terminate();
  await store.close();
});

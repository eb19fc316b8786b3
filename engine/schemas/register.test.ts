import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { fingerprintOf, parseSchema } from "../avro/avro-schema.ts";
import { readSchemaIds } from "../avro/schema-ids.ts";
import { TransientError } from "../errors.ts";
import { type MemoryRegistry, memoryRegistry } from "../testing/memory-registry.ts";
import type { RecordType, Topic } from "../topic.ts";
import { catalog } from "../../topics/catalog.ts";
import { incompatibilities } from "./compatibility.ts";
import { checkAll, registerAll } from "./register.ts";

const { signal } = new AbortController();

let folder = "";
let registry: MemoryRegistry;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "register-"));
  registry = strictRegistry();
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

function strictRegistry(): MemoryRegistry {
  const refuse = (schema: object, earlier: readonly object[]) =>
    earlier.flatMap((known) => incompatibilities(parseSchema(known), parseSchema(schema))).at(0) ??
    null;
  return memoryRegistry({ refuse });
}

function recordType(name: string, ...versions: readonly (readonly object[])[]): RecordType {
  const all = versions.map((fields, i) => {
    const schema = { type: "record", name, namespace: "n", fields };
    return { version: i + 1, fingerprint: fingerprintOf(parseSchema(schema)), schema };
  });
  return { name, fullName: `n.${name}`, versions: all as unknown as RecordType["versions"] };
}

function topicOf(records: readonly RecordType[], change: Partial<Topic> = {}): Topic {
  const compatibility = "FULL_TRANSITIVE";
  return {
    namespace: "test",
    name: "t",
    kind: "events",
    partitions: 1,
    records,
    compatibility,
    config: {},
    ...change,
  };
}

const a = { name: "a", type: "int" };
const b = { name: "b", type: "int", default: 0 };
const idsFile = () => join(folder, "ids.json");
const run = async (...topics: Topic[]) =>
  registerAll({ registry, topics, idsFile: idsFile() }, signal);
const check = async (...topics: Topic[]) =>
  checkAll({ registry, topics, idsFile: idsFile() }, signal);

test("registers the whole catalog, and again without changing anything", async () => {
  const first = await run(...catalog);
  expect(first.map(({ outcome }) => outcome)).not.toContain("refused");
  expect(first.every(({ outcome }) => outcome === "registered")).toBe(true);
  const file = readFileSync(idsFile(), "utf8");

  const second = await run(...catalog);
  expect(second).toEqual(first.map((row) => ({ ...row, outcome: "was registered" })));
  expect(readFileSync(idsFile(), "utf8")).toBe(file);
});

test("registers every version, oldest first, and sets the level before the first", async () => {
  const events: string[] = [];
  const real = { ...registry };
  registry.setLevel = async (subject, level, ...rest) => {
    events.push(`${subject} ${level}`);
    await real.setLevel(subject, level, ...rest);
  };
  registry.register = async (subject, ...rest) => {
    events.push(`${subject} +`);
    return real.register(subject, ...rest);
  };
  const rows = await run(topicOf([recordType("R", [a], [a, b]), recordType("S", [])]));
  expect(events).toEqual([
    "t-n.R FULL_TRANSITIVE",
    "t-n.R +",
    "t-n.R +",
    "t-n.S FULL_TRANSITIVE",
    "t-n.S +",
  ]);
  expect(rows.map(({ subject, version, id }) => [subject, version, id])).toEqual([
    ["t-n.R", 1, 1],
    ["t-n.R", 2, 2],
    ["t-n.S", 1, 3],
  ]);
});

test("sets a level right that was another one, and says so", async () => {
  const topic = topicOf([recordType("R", [a])]);
  await run({ ...topic, compatibility: "NONE" });
  expect(await check(topic)).toMatchObject([{ level: "FULL_TRANSITIVE", levelNow: "NONE" }]);
  expect(await run(topic)).toMatchObject([{ outcome: "was registered", levelBefore: "NONE" }]);
  expect(await registry.levelOf("t-n.R", signal)).toBe("FULL_TRANSITIVE");
  expect(await run(topic)).toMatchObject([{ levelBefore: null }]);
});

test("says of a refused version what is incompatible with which, and goes on elsewhere", async () => {
  await run(topicOf([recordType("R", [a], [a, b])]));
  const bad = recordType("R", [a], [a, b], [{ ...a, type: "long" }], [a]);
  const rows = await run(topicOf([bad, recordType("S", [])]));
  expect(rows.map(({ subject, version, outcome }) => `${subject} ${version} ${outcome}`)).toEqual([
    "t-n.R 1 was registered",
    "t-n.R 2 was registered",
    "t-n.R 3 refused",
    "t-n.S 1 registered",
  ]);
  expect(rows[2]).toMatchObject({
    id: null,
    reasons: [
      "does not go with version 1: n.R.a: int becomes long",
      "does not go with version 2: n.R.a: int becomes long",
      "the registry says: n.R.a: int becomes long",
    ],
  });
});

test("checking tells what registering would do, and changes nothing", async () => {
  await run(topicOf([recordType("R", [a])]));
  const topic = topicOf([recordType("R", [a], [a, b], [b]), recordType("S", [])]);
  const before = [...readSchemaIds(idsFile())];
  const rows = await check(topic);
  expect(rows.map(({ subject, version, verdict }) => `${subject} ${version} ${verdict}`)).toEqual([
    "t-n.R 1 is registered",
    "t-n.R 2 would register",
    "t-n.R 3 would be refused",
    "t-n.S 1 would register",
  ]);
  expect(rows[2]?.reasons).toEqual([
    "does not go with version 1: n.R.a: only in the older version, and has no default there",
  ]);
  expect(await registry.versionsOf("t-n.S", signal)).toEqual([]);
  expect(await registry.levelOf("t-n.S", signal)).toBeNull();
  expect([...readSchemaIds(idsFile())]).toEqual(before);
});

test("checking takes the registry's word where it is stricter than ours", async () => {
  const topic = topicOf([recordType("R", [a], [a, b])]);
  await run(topicOf([recordType("R", [a])]));
  registry.accepts = async () => false;
  expect(await check(topic)).toMatchObject([
    { verdict: "is registered" },
    { verdict: "would be refused", reasons: ["the registry would refuse it"] },
  ]);
});

test("records which schema each id means, and keeps what is no longer in the catalog", async () => {
  const old = recordType("R", [a]);
  await run(topicOf([old]));
  await run(topicOf([recordType("S", [])]));
  const ids = readSchemaIds(idsFile());
  expect(ids.get(1)).toBe(old.versions[0].fingerprint);
  expect([...ids.keys()]).toEqual([1, 2]);
});

test("a registry that was wiped and filled again is refused before anything is written", async () => {
  const topic = topicOf([recordType("R", [a]), recordType("S", [])]);
  await run(topic);
  registry = strictRegistry();
  await registerAll({ registry, topics: [topicOf([recordType("X", [b])])], idsFile: null }, signal);
  await expect(run(topic)).rejects.toMatchObject({
    code: "SCHEMA_DRIFT",
    message: expect.stringContaining(
      "schema id 1 means another schema than was recorded",
    ) as string,
  });
  await expect(check(topic)).rejects.toMatchObject({ code: "SCHEMA_DRIFT" });
  expect(await registry.versionsOf("t-n.R", signal)).toEqual([]);
});

test("a registry that was wiped and is empty is refused too", async () => {
  const topic = topicOf([recordType("R", [a])]);
  await run(topic);
  registry = strictRegistry();
  await expect(run(topic)).rejects.toThrow("schema id 1 is gone");
  expect(await registry.versionsOf("t-n.R", signal)).toEqual([]);
});

test("an id that no longer is a schema at all is refused", async () => {
  const topic = topicOf([recordType("R", [a])]);
  await run(topic);
  registry.put(1, "{", "PROTOBUF");
  await expect(run(topic)).rejects.toMatchObject({ code: "SCHEMA_DRIFT" });
});

test("a file of ids that is damaged is refused, never overwritten", async () => {
  writeFileSync(idsFile(), "{ not json");
  await expect(run(topicOf([recordType("R", [a])]))).rejects.toMatchObject({
    code: "SCHEMA_DRIFT",
  });
  expect(readFileSync(idsFile(), "utf8")).toBe("{ not json");
});

test("a registry that is away is for the caller to wait for, and nothing is recorded", async () => {
  registry.state = "unreachable";
  await expect(run(topicOf([recordType("R", [a])]))).rejects.toBeInstanceOf(TransientError);
  expect(existsSync(idsFile())).toBe(false);
});

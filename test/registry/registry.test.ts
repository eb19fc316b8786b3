import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, inject, test } from "vitest";
import { openCodec } from "../../engine/avro/avro-codec.ts";
import { fingerprintOf, parseSchema } from "../../engine/avro/avro-schema.ts";
import { openRegistry } from "../../engine/avro/registry.ts";
import { readSchemaIds } from "../../engine/avro/schema-ids.ts";
import { systemClock } from "../../engine/clock.ts";
import { PoisonError } from "../../engine/errors.ts";
import type { RecordType, Topic } from "../../engine/topic.ts";
import { incompatibilities } from "../../engine/schemas/compatibility.ts";
import { checkAll, registerAll } from "../../engine/schemas/register.ts";
import { catalog } from "../../topics/catalog.ts";
import { schemaPairs } from "./schema-pairs.ts";

const registry = openRegistry({ url: inject("registryUrl"), requestTimeoutMs: 20_000 });
const { signal } = new AbortController();

/** Subjects and schemas are for ever: every test has names of its own. */
function ownName(): string {
  return `T${randomUUID().replaceAll("-", "")}`;
}

const a = { name: "a", type: "long" };
const b = { name: "b", type: ["null", "string"], default: null };

function schemaOf(name: string, ...fields: readonly object[]): object {
  return { type: "record", name, namespace: "test", kind: "event", doc: "A test's.", fields };
}

function topicOf(name: string, ...versions: readonly (readonly object[])[]): Topic {
  const all = versions.map((fields, i) => {
    const schema = schemaOf(name, ...fields);
    return { version: i + 1, fingerprint: fingerprintOf(parseSchema(schema)), schema };
  });
  const record: RecordType = {
    name,
    fullName: `test.${name}`,
    versions: all as unknown as RecordType["versions"],
  };
  const compatibility = "FULL_TRANSITIVE";
  return {
    namespace: "test",
    name,
    kind: "events",
    partitions: 1,
    records: [record],
    compatibility,
    config: {},
  };
}

function subjectOf(name: string): string {
  return `${name}-test.${name}`;
}

test("registering twice gives the same id, the next version another one", async () => {
  const name = ownName();
  const subject = subjectOf(name);
  expect(await registry.idOf(subject, schemaOf(name, a), signal)).toBeNull();
  expect(await registry.levelOf(subject, signal)).toBeNull();
  expect(await registry.versionsOf(subject, signal)).toEqual([]);

  await registry.setLevel(subject, "FULL_TRANSITIVE", signal);
  const put = async (...fields: object[]) =>
    registry.register(subject, schemaOf(name, ...fields), "FULL_TRANSITIVE", signal);
  const first = await put(a);
  expect(first.kind).toBe("registered");
  expect(await put(a)).toEqual(first);
  const second = await put(a, b);
  expect(second.kind).toBe("registered");
  expect(second).not.toEqual(first);

  expect(await registry.levelOf(subject, signal)).toBe("FULL_TRANSITIVE");
  expect(await registry.idOf(subject, schemaOf(name, a, b), signal)).toBe(
    "id" in second && second.id,
  );
  const versions = await registry.versionsOf(subject, signal);
  expect(versions.map(({ version }) => version)).toEqual([1, 2]);
});

test("a schema comes back by its id with the meaning that it went in with", async () => {
  const name = ownName();
  await registerAll({ registry, topics: [topicOf(name, [a, b])], idsFile: null }, signal);
  const id = await registry.idOf(subjectOf(name), schemaOf(name, a, b), signal);
  const found = await registry.schemaById(id ?? 0, signal);
  expect(found?.format).toBe("AVRO");
  expect(fingerprintOf(parseSchema(JSON.parse(found?.text ?? "")))).toBe(
    fingerprintOf(parseSchema(schemaOf(name, a, b))),
  );
});

test("other docs are the same schema", async () => {
  const name = ownName();
  await registerAll({ registry, topics: [topicOf(name, [a])], idsFile: null }, signal);
  const redocumented = { ...schemaOf(name, { ...a, doc: "Better." }), doc: "Better words." };
  expect(await registry.idOf(subjectOf(name), redocumented, signal)).toBe(
    await registry.idOf(subjectOf(name), schemaOf(name, a), signal),
  );
});

test("one schema under two subjects has one id", async () => {
  const name = ownName();
  const schema = schemaOf(name, a);
  const ids: unknown[] = [];
  for (const subject of [`x-${name}`, `y-${name}`]) {
    await registry.setLevel(subject, "FULL_TRANSITIVE", signal);
    ids.push(await registry.register(subject, schema, "FULL_TRANSITIVE", signal));
  }
  expect(ids[0]).toEqual(ids[1]);
});

test.each([2 ** 31 - 1, 0, -1])("the id %i is definitely not there", async (id) => {
  expect(await registry.schemaById(id, signal)).toBeNull();
});

test("a bad change is refused with the version, the place and the registry's words", async () => {
  const name = ownName();
  await registerAll({ registry, topics: [topicOf(name, [a])], idsFile: null }, signal);
  const bad = topicOf(name, [a], [{ ...a, type: "int" }]);
  const checked = await checkAll({ registry, topics: [bad], idsFile: null }, signal);
  expect(checked.map(({ verdict }) => verdict)).toEqual(["is registered", "would be refused"]);
  const reason = `does not go with version 1: test.${name}.a: long becomes int`;
  expect(checked[1]?.reasons).toEqual([reason]);

  const rows = await registerAll({ registry, topics: [bad], idsFile: null }, signal);
  expect(rows[1]).toMatchObject({ outcome: "refused", id: null });
  const words = expect.stringContaining("the registry says: Incompatible artifact") as string;
  expect(rows[1]?.reasons).toEqual([reason, words]);
  expect(await registry.versionsOf(subjectOf(name), signal)).toHaveLength(1);
});

test("a level that was another one is set right, also for what is registered already", async () => {
  const name = ownName();
  const topic = topicOf(name, [a]);
  const loose: Topic = { ...topic, compatibility: "NONE" };
  await registerAll({ registry, topics: [loose], idsFile: null }, signal);
  expect(await registry.levelOf(subjectOf(name), signal)).toBe("NONE");
  const rows = await registerAll({ registry, topics: [topic], idsFile: null }, signal);
  expect(rows).toMatchObject([{ outcome: "was registered", levelBefore: "NONE" }]);
  expect(await registry.levelOf(subjectOf(name), signal)).toBe("FULL_TRANSITIVE");
});

test("the whole catalog registers, once and again, and a codec opens on it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "registry-"));
  try {
    const idsFile = join(folder, "ids.json");
    const first = await registerAll({ registry, topics: catalog, idsFile }, signal);
    expect(first.filter(({ outcome }) => outcome === "refused")).toEqual([]);
    const second = await registerAll({ registry, topics: catalog, idsFile }, signal);
    expect(second.map(({ id }) => id)).toEqual(first.map(({ id }) => id));
    expect(new Set(second.map(({ outcome }) => outcome))).toEqual(new Set(["was registered"]));

    const knownIds = readSchemaIds(idsFile);
    const options = { registry, topics: catalog, unknownIdWaitMs: 0, clock: systemClock };
    const codec = await openCodec({ ...options, knownIds }, signal);
    for (const topic of catalog.filter(({ kind }) => kind === "events")) {
      const event = { type: "FundsDeposited", data: { amountCents: 7, reference: "é" } };
      expect(codec.decode(topic, codec.encode(topic, event.type, event.data))).toEqual(event);
    }

    const wrong = new Map([...knownIds].map(([id]) => [id, "0".repeat(64)]));
    await expect(openCodec({ ...options, knownIds: wrong }, signal)).rejects.toMatchObject({
      code: "SCHEMA_DRIFT",
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a codec reads what a newer and an older worker wrote", async () => {
  const name = ownName();
  const versions = [topicOf(name, [a]), topicOf(name, [a], [a, b])] as const;
  await registerAll({ registry, topics: [versions[1]], idsFile: null }, signal);
  const options = { registry, unknownIdWaitMs: 0, clock: systemClock };
  const older = await openCodec({ ...options, topics: [versions[0]] }, signal);
  const newer = await openCodec({ ...options, topics: [versions[1]] }, signal);

  const old = older.encode(versions[0], name, { a: 1 });
  await newer.learn([old], signal);
  expect(newer.decode(versions[1], old).data).toEqual({ a: 1, b: null });
  const fresh = newer.encode(versions[1], name, { a: 2, b: "x" });
  await older.learn([fresh], signal);
  expect(older.decode(versions[0], fresh).data).toEqual({ a: 2 });
});

test("an unknown id is waited for, then poison, and asked for no more", async () => {
  const name = ownName();
  const topic = topicOf(name, [a]);
  await registerAll({ registry, topics: [topic], idsFile: null }, signal);
  let lookups = 0;
  const counting = {
    ...registry,
    schemaById: async (id: number, abort: AbortSignal) => {
      lookups++;
      return registry.schemaById(id, abort);
    },
  };
  const options = { topics: [topic], unknownIdWaitMs: 500, clock: systemClock };
  const codec = await openCodec({ ...options, registry: counting }, signal);
  const values = [2 ** 31 - 1, 2 ** 31 - 2].map((id) => {
    const value = Buffer.alloc(6);
    value.writeInt32BE(id, 1);
    return value;
  });
  const startedAt = Date.now();
  await codec.learn(values, signal);
  expect(Date.now() - startedAt).toBeGreaterThanOrEqual(500);
  for (const value of values) {
    expect(() => codec.decode(topic, value)).toThrow(PoisonError);
  }
  const asked = lookups;
  await codec.learn(values, signal);
  expect(lookups).toBe(asked);
});

test("a registry that is down is waited for, when a codec opens and when an id is new", async () => {
  const name = ownName();
  const topic = topicOf(name, [a], [a, b]);
  await registerAll({ registry, topics: [topic], idsFile: null }, signal);
  const door = await doorTo(new URL(inject("registryUrl")));
  try {
    const away = openRegistry({ url: door.url, requestTimeoutMs: 5_000 });
    const told: string[] = [];
    // The door opens once the codec has seen that it is shut.
    const onRegistry = (state: string) => {
      told.push(state);
      if (state === "unreachable") door.open();
    };
    const options = { unknownIdWaitMs: 0, clock: systemClock, onRegistry };
    const codec = await openCodec(
      { ...options, registry: away, topics: [topicOf(name, [a])] },
      signal,
    );
    expect(told).toEqual(["unreachable", "answers"]);

    const newer = await openCodec({ ...options, registry, topics: [topic] }, signal);
    const value = newer.encode(topic, name, { a: 1, b: "x" });
    door.shut();
    await codec.learn([value], signal);
    expect(told).toEqual(["unreachable", "answers", "unreachable", "answers"]);
    expect(codec.decode(topicOf(name, [a]), value)).toEqual({ type: name, data: { a: 1 } });
  } finally {
    await door.close();
  }
});

/** A way to the registry that breaks off every connection while it is shut, as it is at first. */
async function doorTo(target: URL) {
  let isOpen = false;
  const sockets = new Set<{ destroy(): unknown }>();
  const server = createServer((near) => {
    if (!isOpen) {
      near.destroy();
      return;
    }
    const far = connect(Number(target.port), target.hostname);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => undefined); // The other side sees it as an end.
      socket.on("close", () => {
        sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const endAll = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: `http://127.0.0.1:${port}${target.pathname}`,
    open: () => {
      isOpen = true;
    },
    shut: () => {
      isOpen = false;
      endAll();
    },
    close: async () => {
      endAll();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test.each(schemaPairs)("the registry judges as we do, or is milder: $change", async (pair) => {
  const name = ownName();
  const named = (schema: object): object => {
    const text = JSON.stringify(schema).replaceAll('"R"', JSON.stringify(name));
    return JSON.parse(text) as object;
  };
  const subject = subjectOf(name);
  await registry.setLevel(subject, "FULL_TRANSITIVE", signal);
  const first = await registry.register(subject, named(pair.older), "FULL_TRANSITIVE", signal);
  expect(first.kind).toBe("registered");
  expect(await registry.accepts(subject, named(pair.newer), signal)).toBe(
    pair.verdict !== "incompatible",
  );
  const second = await registry.register(subject, named(pair.newer), "FULL_TRANSITIVE", signal);
  expect(second.kind).toBe(pair.verdict === "incompatible" ? "refused" : "registered");
  const ours = incompatibilities(parseSchema(pair.older), parseSchema(pair.newer));
  expect(ours.length === 0).toBe(pair.verdict === "compatible");
});

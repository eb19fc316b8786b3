import { beforeEach, expect, test } from "vitest";
import type { Clock } from "../clock.ts";
import type { Codec } from "../codec.ts";
import { FatalError, PoisonError, TransientError } from "../errors.ts";
import { type MemoryRegistry, memoryRegistry, registryWith } from "../testing/memory-registry.ts";
import { type RecordType, subjectOf, type Topic } from "../topic.ts";
import { type CodecOptions, openCodec } from "./avro-codec.ts";
import { fingerprintOf, newestOf, parseSchema } from "./avro-schema.ts";

function recordType(name: string, ...versions: readonly (readonly object[])[]): RecordType {
  const [first = versionOf(name, 1, []), ...more] = versions.map((fields, i) =>
    versionOf(name, i + 1, fields),
  );
  return { name, fullName: `shop.order.${name}`, versions: [first, ...more] };
}

function versionOf(name: string, version: number, fields: readonly object[]) {
  const schema = { type: "record", name, namespace: "shop.order", fields };
  return { version, fingerprint: fingerprintOf(parseSchema(schema)), schema };
}

function topicOf(name: string, ...records: RecordType[]): Topic {
  const config = {};
  return {
    namespace: "shop",
    name,
    kind: "events",
    partitions: 1,
    records,
    compatibility: "FULL_TRANSITIVE",
    config,
  };
}

const title = { name: "title", type: "string" };
const placed = recordType("Placed", [
  title,
  { name: "cents", type: "long" },
  { name: "rate", type: "double", default: 1 },
  { name: "note", type: ["null", "string"], default: null },
  { name: "size", type: { type: "enum", name: "Size", symbols: ["S", "M"] }, default: "S" },
  { name: "tags", type: { type: "array", items: "string" }, default: [] },
  { name: "extra", type: { type: "map", values: "float" }, default: {} },
]);
const events = topicOf("shop.order.events", placed);
const order = {
  title: "Zoë's 🏦",
  cents: -(2 ** 53) + 2,
  rate: 0.1,
  note: null,
  size: "M",
  tags: ["a", "b"],
  extra: { x: 0.5 },
};

/** Time that passes only in sleep; `onSleep` may then change the world. */
let nowMs = 0;
let onSleep: (sleeps: number) => void = () => undefined;
let sleeps = 0;
const clock: Clock = {
  now: () => nowMs,
  random: () => 0.5,
  sleep: async (durationMs) => {
    nowMs += durationMs;
    onSleep(++sleeps);
  },
};

beforeEach(() => {
  nowMs = 1_000_000;
  sleeps = 0;
  onSleep = () => undefined;
});

const { signal } = new AbortController();

async function open(
  registry: MemoryRegistry,
  topics: readonly Topic[],
  options: Partial<CodecOptions> = {},
): Promise<Codec> {
  return openCodec({ registry, topics, unknownIdWaitMs: 30_000, clock, ...options }, signal);
}

async function idOf(registry: MemoryRegistry, topic: Topic, record: RecordType): Promise<number> {
  const id = await registry.idOf(subjectOf(topic, record), newestOf(record).schema, signal);
  if (id === null) throw new Error("not registered");
  return id;
}

function codeOf(attempt: () => unknown): string {
  try {
    attempt();
    return "nothing was thrown";
  } catch (error) {
    if (error instanceof PoisonError || error instanceof FatalError) return error.code;
    throw error;
  }
}

function framed(id: number, ...body: number[]): Buffer {
  const header = Buffer.alloc(5);
  header.writeInt32BE(id, 1);
  return Buffer.concat([header, Buffer.from(body)]);
}

test("a message comes back as plain data, equal to what was sent", async () => {
  const codec = await open(await registryWith([events]), [events]);
  const message = codec.decode(events, codec.encode(events, "Placed", order));
  expect(message).toStrictEqual({ type: "Placed", data: order });
});

test("a field left out takes its default on the way", async () => {
  const codec = await open(await registryWith([events]), [events]);
  const { data } = codec.decode(events, codec.encode(events, "Placed", { title: "t", cents: 1 }));
  const defaults = { rate: 1, note: null, size: "S", tags: [], extra: {} };
  expect(data).toStrictEqual({ title: "t", cents: 1, ...defaults });
});

test("the wire format is a zero byte, the id of the registry, and Avro", async () => {
  const registry = await registryWith([events]);
  const codec = await open(registry, [events]);
  const bytes = codec.encode(events, "Placed", { title: "t", cents: 1 });
  expect(bytes.readInt32BE(1)).toBe(await idOf(registry, events, placed));
  expect(bytes.toString("hex")).toBe(
    "0000000001" + "0274" + "02" + "000000000000f03f" + "00000000",
  );
});

test("encoded bytes are never written again, whatever is encoded after them", async () => {
  const codec = await open(await registryWith([events]), [events]);
  const lengths = [1, 60_000, 3, 70_000, 200_000, 65_500, 10];
  const orders = Array.from({ length: 300 }, (_, i) => ({
    ...order,
    title: String(i).padEnd(lengths[i % lengths.length] ?? 0, "x"),
  }));
  const values = orders.map((data) => codec.encode(events, "Placed", data));
  const decoded = values.map((value) => codec.decode(events, value).data);
  expect(decoded).toEqual(orders);
});

test.each<[string, object, string]>([
  ["a NaN", { rate: Number.NaN }, "Placed.rate: expected a finite number, got NaN"],
  ["an infinity", { rate: -Infinity }, "Placed.rate: expected a finite number, got -Infinity"],
  [
    "a float beyond single precision",
    { extra: { x: 1e300 } },
    'Placed.extra["x"]: expected a finite number of single precision, got 1e+300',
  ],
  [
    "2^53 − 1",
    { cents: 2 ** 53 - 1 },
    "Placed.cents: expected an integer within ±(2^53 − 2), got 9007199254740991",
  ],
  ["a fraction", { cents: 0.5 }, "Placed.cents: expected an integer within ±(2^53 − 2), got 0.5"],
  [
    "a lone surrogate",
    { title: "a\uD800" },
    "Placed.title: a string with a lone surrogate is not Unicode",
  ],
  [
    "a lone surrogate in a list",
    { tags: ["ok", "\uDC00"] },
    "Placed.tags[1]: a string with a lone surrogate is not Unicode",
  ],
  [
    "a lone surrogate where null was possible",
    { note: "\uD83D" },
    "Placed.note: a string with a lone surrogate is not Unicode",
  ],
  [
    "a key with a lone surrogate",
    { extra: { "\uD800": 1 } },
    'Placed.extra["\\ud800"]: a string with a lone surrogate is not Unicode',
  ],
  [
    "a map key __proto__",
    { extra: JSON.parse('{"__proto__": 1}') as object },
    'Placed.extra["__proto__"]: no map key may be __proto__',
  ],
  [
    "a symbol that every object seems to have",
    { size: "toString" },
    'Placed.size: expected one of S, M, got "toString"',
  ],
  ["another type", { title: 7 }, "Placed.title: expected a string, got 7"],
  ["a missing field", { title: undefined }, "Placed.title: expected a string, got nothing"],
  ["a bigint", { cents: 7n }, "Placed.cents: expected an integer within ±(2^53 − 2), got a bigint"],
  [
    "a hole in a list",
    { tags: new Array<string>(1) },
    "Placed.tags[0]: expected a string, got nothing",
  ],
  [
    "more items than can be read",
    { tags: new Array(100_001).fill("") },
    "Placed: more than 100000",
  ],
])("%s is refused with its place", async (_, change, message) => {
  const codec = await open(await registryWith([events]), [events]);
  const encode = () => codec.encode(events, "Placed", { ...order, ...change });
  expect(codeOf(encode)).toBe("INVALID_EVENT");
  expect(encode).toThrow(message);
  // And what is encoded next is whole.
  const value = codec.encode(events, "Placed", order);
  expect(codec.decode(events, value).data).toEqual(order);
});

test("a value that no reader could follow is refused: too deep, or within itself", async () => {
  const node = recordType("Node", [{ name: "next", type: ["null", "Node"], default: null }]);
  const nodes = topicOf("shop.node.events", node);
  const codec = await open(await registryWith([nodes]), [nodes]);
  let deep: object = { next: null };
  for (let i = 1; i < 64; i++) deep = { next: deep };
  expect(codec.decode(nodes, codec.encode(nodes, "Node", deep)).data).toEqual(deep);
  expect(codeOf(() => codec.encode(nodes, "Node", { next: deep }))).toBe("INVALID_EVENT");

  const circle: { next: object | null } = { next: null };
  circle.next = circle;
  expect(codeOf(() => codec.encode(nodes, "Node", circle))).toBe("INVALID_EVENT");
});

test("a type that the topic does not list is neither written nor read", async () => {
  const other = topicOf("shop.order.commands", recordType("Place", [title]));
  const codec = await open(await registryWith([events, other]), [events, other]);
  expect(codeOf(() => codec.encode(events, "Place", { title: "t" }))).toBe("INVALID_EVENT");
  const command = codec.encode(other, "Place", { title: "t" });
  expect(codec.decode(other, command).type).toBe("Place");
  expect(codeOf(() => codec.decode(events, command))).toBe("FOREIGN_RECORD_TYPE");
});

test("one schema under two subjects has one id and is read on both topics", async () => {
  const again = topicOf("shop.order.archive", placed);
  const registry = await registryWith([events, again]);
  const codec = await open(registry, [events, again]);
  expect(await idOf(registry, again, placed)).toBe(await idOf(registry, events, placed));
  const value = codec.encode(again, "Placed", order);
  expect(codec.decode(events, value)).toEqual(codec.decode(again, value));
});

test("every older version is read in today's form", async () => {
  const v1 = [title, { name: "gone", type: "long", default: 0 }];
  const v2 = [{ name: "note", type: "string", default: "-", aliases: ["remark"] }, title];
  const old = topicOf("t", recordType("R", v1));
  const now = topicOf("t", recordType("R", v1, v2));
  const registry = await registryWith([now]);
  const writer = await open(registry, [old]);
  const reader = await open(registry, [now]);
  const value = writer.encode(old, "R", { title: "x", gone: 7 });
  await reader.learn([value], signal);
  expect(reader.decode(now, value).data).toStrictEqual({ note: "-", title: "x" });
});

test("a newer version than ours, met in a rolling deploy, is read as the one that we know", async () => {
  const v2 = [title, { name: "more", type: "int", default: 0 }];
  const ours = topicOf("t", recordType("R", [title]));
  const newer = topicOf("t", recordType("R", [title], v2));
  const registry = await registryWith([newer]);
  const value = (await open(registry, [newer])).encode(newer, "R", { title: "x", more: 3 });
  const codec = await open(registry, [ours]);
  await codec.learn([value], signal);
  expect(codec.decode(ours, value).data).toEqual({ title: "x" });
});

test.each<[string, string, string]>([
  ["is not Avro", "PROTOBUF", 'syntax = "proto3";'],
  ["is no JSON", "AVRO", "{"],
  ["is no schema", "AVRO", '{"type":"strange"}'],
  ["is no record", "AVRO", '"string"'],
  ["has a default that does not fit", "AVRO", JSON.stringify(badDefault())],
  ["bears our name and cannot be read as ours", "AVRO", JSON.stringify(namesake())],
])("a schema that %s makes its records foreign", async (_, format, text) => {
  const registry = await registryWith([events]);
  registry.put(77, text, format);
  const codec = await open(registry, [events]);
  const value = framed(77, 2, 97);
  await codec.learn([value], signal);
  expect(codeOf(() => codec.decode(events, value))).toBe("FOREIGN_RECORD_TYPE");
});

function badDefault(): object {
  return versionOf("Placed", 1, [{ name: "title", type: "string", default: 7 }]).schema;
}

function namesake(): object {
  return versionOf("Placed", 1, [{ name: "title", type: "int" }]).schema;
}

test.each<[string, Buffer, string]>([
  ["no bytes", Buffer.alloc(0), "BAD_WIRE_FORMAT"],
  ["four bytes", Buffer.alloc(4), "BAD_WIRE_FORMAT"],
  ["another magic byte", Buffer.from([1, 0, 0, 0, 1, 0]), "BAD_WIRE_FORMAT"],
  ["the id 0", framed(0, 2, 97), "UNKNOWN_SCHEMA"],
  ["the id −1", framed(-1, 2, 97), "UNKNOWN_SCHEMA"],
  ["nothing after the id", framed(1), "TRUNCATED"],
  [
    "bytes after the value",
    framed(1, 2, 97, 2, ...new Array<number>(13).fill(0)),
    "TRAILING_BYTES",
  ],
  ["text that is not UTF-8", framed(1, 2, 0xff), "INVALID_UTF8"],
  [
    "a long out of range",
    framed(1, 2, 97, ...new Array<number>(8).fill(255), 1),
    "LONG_OUT_OF_RANGE",
  ],
])("%s is poison with its code", async (_, value, code) => {
  const codec = await open(await registryWith([events]), [events]);
  await codec.learn([value], signal);
  expect(codeOf(() => codec.decode(events, value))).toBe(code);
});

test("an id that was not looked up is not poison yet", async () => {
  const codec = await open(await registryWith([events]), [events]);
  expect(() => codec.decode(events, framed(99, 0))).toThrow(TransientError);
});

test("a codec opens only where every newest schema is registered, and names all that are missing", async () => {
  const commands = topicOf("shop.order.commands", recordType("Place", [title]));
  const registry = memoryRegistry();
  await expect(open(registry, [events, commands])).rejects.toMatchObject({
    code: "SCHEMA_UNREGISTERED",
    message:
      "the registry does not have shop.order.events-shop.order.Placed (v1), " +
      "shop.order.commands-shop.order.Place (v1); run: npm run -s foldlog -- schemas register",
  });
  expect(await registry.versionsOf("shop.order.events-shop.order.Placed", signal)).toEqual([]);
});

test("an older version alone is not enough to open", async () => {
  const registry = await registryWith([topicOf("t", recordType("R", [title]))]);
  const newer = topicOf(
    "t",
    recordType("R", [title], [title, { ...title, name: "b", default: "" }]),
  );
  await expect(open(registry, [newer])).rejects.toThrow("t-shop.order.R (v2)");
});

test("a registry that is away when a codec opens is waited for, and that is told once", async () => {
  const registry = await registryWith([events]);
  registry.state = "unreachable";
  onSleep = (count) => {
    if (count === 20) registry.state = "answers";
  };
  const told: string[] = [];
  await open(registry, [events], { onRegistry: (state) => told.push(state) });
  expect(sleeps).toBe(20);
  expect(told).toEqual(["unreachable", "answers"]);
});

test("a registry that refuses us when a codec opens is fatal", async () => {
  const registry = await registryWith([events]);
  registry.state = "unauthorized";
  await expect(open(registry, [events])).rejects.toMatchObject({ code: "UNAUTHORIZED" });
});

test("a codec that is told to stop does not open", async () => {
  const registry = await registryWith([events]);
  registry.state = "unreachable";
  const stop = new AbortController();
  onSleep = (count) => {
    if (count === 3) stop.abort();
  };
  const options = { registry, topics: [events], unknownIdWaitMs: 0, clock };
  await expect(openCodec(options, stop.signal)).rejects.toThrow(TransientError);
});

test("an upcast turns a record that is no longer written into the one that took its place", async () => {
  const moved = recordType("Moved", [{ name: "cents", type: "long" }]);
  const shifted = recordType("Shifted", [{ name: "amount", type: "long" }]);
  const topic = topicOf("t", moved, shifted, placed);
  const upcasts = {
    "shop.order.Moved": ({ cents }: { cents: number }) => ({
      type: "Shifted",
      data: { amount: cents },
    }),
    "shop.order.Shifted": ({ amount }: { amount: number }) => ({
      type: "Placed",
      data: { title: `shift of ${amount}`, cents: amount },
    }),
  };
  const codec = await open(await registryWith([topic]), [topic], { upcasts });
  const value = codec.encode(topic, "Moved", { cents: 5 });
  const now = { type: "Placed", data: { title: "shift of 5", cents: 5 } };
  expect(codec.decode(topic, value)).toEqual(now);
  expect(codec.decode(topic, codec.encode(topic, "Placed", order)).data).toEqual(order);
});

test("an upcast that throws is a fault of its author, one that leads nowhere ends the process", async () => {
  const moved = recordType("Moved", [{ name: "cents", type: "long" }]);
  const topic = topicOf("t", moved);
  const registry = await registryWith([topic]);
  const codeWith = async (upcast: () => { type: string; data: object }) => {
    const codec = await open(registry, [topic], { upcasts: { "shop.order.Moved": upcast } });
    return codeOf(() => codec.decode(topic, codec.encode(topic, "Moved", { cents: 5 })));
  };
  const threw = codeWith(() => {
    throw new Error("oops");
  });
  expect(await threw).toBe("DECIDER_THREW");
  expect(await codeWith(() => ({ type: "Nothing", data: {} }))).toBe("BROKEN_INVARIANT");
  expect(await codeWith(() => ({ type: "Moved", data: {} }))).toBe("BROKEN_INVARIANT");
});

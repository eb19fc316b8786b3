import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { kafkaDialogue } from "./faults/kafka-dialogue.ts";
import { type Dialogue, type Fate, type Link, startLink } from "./faults/link.ts";
import { until } from "./until.ts";

/** A link between a client and a server of this file, which answers each request with itself. */

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

/** A request of Kafka's, and an answer to it; both carry the correlation id and this text. */
function frame(key: number, id: number, text: string): Buffer {
  const bytes = Buffer.alloc(12 + text.length);
  bytes.writeInt32BE(8 + text.length, 0);
  bytes.writeInt16BE(key, 4);
  bytes.writeInt32BE(id, 8);
  bytes.write(text, 12);
  return bytes;
}
const answerTo = (request: Buffer) =>
  Buffer.concat([
    request.subarray(0, 4),
    request.subarray(8, 12),
    Buffer.alloc(4),
    request.subarray(12),
  ]);
const [produce, endTxn] = [0, 26];

interface Served {
  readonly link: Link;
  /** Everything that has come to the server, in order. */
  readonly asked: () => string;
  readonly hungUp: () => number;
}

async function serve(
  dialogue: () => Dialogue,
  answer: (data: Buffer) => Buffer,
  fates: (Fate | null)[],
): Promise<Served> {
  const asked: Buffer[] = [];
  let hungUp = 0;
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => undefined); // Being cut is the point.
    socket.on("close", () => hungUp++);
    socket.on("data", (data) => {
      asked.push(data);
      socket.write(answer(data));
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const here = { host: "127.0.0.1", port: 0 };
  const link = await startLink({
    ...{ listen: here, to: { ...here, port }, dialogue },
    fateOf: () => fates.shift() ?? null,
  });
  open.push(async () => {
    await link.close();
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return { link, asked: () => Buffer.concat(asked).toString(), hungUp: () => hungUp };
}

const serveKafka = (fates: (Fate | null)[]) => {
  // A whole frame comes at once, but for those that were cut.
  const echo = (data: Buffer) => (data.length >= 12 ? answerTo(data) : Buffer.alloc(0));
  return serve(kafkaDialogue, echo, fates);
};

async function client({ link }: Served) {
  const socket = connect(link.port, "127.0.0.1");
  await once(socket, "connect");
  const heard: Buffer[] = [];
  let isOver = false;
  socket.on("error", () => undefined);
  socket.on("close", () => (isOver = true));
  socket.on("data", (data) => heard.push(data));
  open.push(async () => {
    socket.destroy();
    await until("the client to be closed", () => isOver);
  });
  const hears = (text: string) =>
    until(`to hear ${text}`, () => Buffer.concat(heard).includes(text), { everyMs: 2 });
  return {
    socket,
    send: (...frames: Buffer[]) => socket.write(Buffer.concat(frames)),
    hears,
    heard: () => Buffer.concat(heard).toString(),
    isCut: () => until("the connection to be cut", () => isOver, { everyMs: 2 }),
  };
}

function gate() {
  let pass = (): void => undefined;
  const opened = new Promise<void>((resolve) => (pass = resolve));
  return { until: () => opened, open: pass };
}

describe("A link passes on", () => {
  test("requests and answers as they are, however they come in pieces", async () => {
    const served = await serveKafka([]);
    const it = await client(served);
    const both = Buffer.concat([frame(produce, 1, "one"), frame(endTxn, 2, "two")]);
    for (const byte of both.subarray(0, 20)) it.socket.write(Buffer.from([byte]));
    await it.hears("one");
    it.send(both.subarray(20));
    await it.hears("two");
    expect(served.asked()).toBe(both.toString());
  });

  test("what a client has sent before it went away", async () => {
    const hold = gate();
    const served = await serveKafka([{ does: "stall", until: hold.until }]);
    const it = await client(served);
    it.send(frame(endTxn, 1, "commit"));
    it.socket.destroy();
    await it.isCut();
    expect(served.asked()).toBe("");
    hold.open();
    await until("the server to have it", () => served.asked().includes("commit"));
    await until("the server to be left", () => served.hungUp() === 1);
  });
});

describe("Of a request that is hit", () => {
  test("nothing passes where it is lost", async () => {
    const served = await serveKafka([{ does: "lose-request" }]);
    const it = await client(served);
    it.send(frame(produce, 1, "lost"), frame(produce, 2, "later"));
    await it.isCut();
    await until("the server to be left", () => served.hungUp() === 1);
    expect(served.asked()).toBe("");
  });

  test("half passes where it is cut", async () => {
    const served = await serveKafka([null, { does: "cut" }]);
    const it = await client(served);
    it.send(frame(produce, 1, "whole"));
    await it.hears("whole");
    it.send(frame(produce, 2, "0123456789ab"));
    await it.isCut();
    expect(served.asked()).toBe(
      frame(produce, 1, "whole").toString() +
        frame(produce, 2, "0123456789ab").toString("utf8", 0, 12),
    );
  });

  test("all passes where its answer is lost, and the client is cut off", async () => {
    const served = await serveKafka([{ does: "lose-answer" }]);
    const it = await client(served);
    it.send(frame(produce, 1, "done"));
    await it.isCut();
    expect(served.asked()).toContain("done");
    expect(it.heard()).toBe("");
  });

  test("nothing is heard where its answer is swallowed, while others are answered", async () => {
    const served = await serveKafka([{ does: "swallow-answer" }]);
    const it = await client(served);
    it.send(frame(produce, 1, "first"));
    await until("the server to have it", () => served.asked().includes("first"));
    it.send(frame(produce, 2, "second"));
    await it.hears("second");
    expect(it.heard()).not.toContain("first");
  });

  test("what follows on the connection waits too where it is stalled", async () => {
    const hold = gate();
    const served = await serveKafka([{ does: "stall", until: hold.until }]);
    const it = await client(served);
    const other = await client(served);
    it.send(frame(produce, 1, "held"), frame(produce, 2, "behind"));
    other.send(frame(produce, 1, "free"));
    await other.hears("free");
    expect(served.asked()).not.toContain("held");
    hold.open();
    await it.hears("behind");
    expect(it.heard().indexOf("held")).toBeLessThan(it.heard().indexOf("behind"));
  });

  test("the answer comes later where it is delayed, and later ones keep their order", async () => {
    const hold = gate();
    const served = await serveKafka([{ does: "delay", until: hold.until }]);
    const it = await client(served);
    it.send(frame(produce, 1, "slow"));
    await until("the server to have it", () => served.asked().includes("slow"));
    it.send(frame(produce, 2, "quick"));
    await until("the server to have it", () => served.asked().includes("quick"));
    expect(it.heard()).toBe("");
    hold.open();
    await it.hears("quick");
    expect(it.heard().indexOf("slow")).toBeLessThan(it.heard().indexOf("quick"));
  });

  test.each(["drop-request", "drop-answer"] as const)(
    "neither it nor what follows gets through where it is held for a death (%s)",
    async (does) => {
      const hold = gate();
      const served = await serveKafka([{ does, until: hold.until }]);
      const it = await client(served);
      it.send(frame(endTxn, 1, "point"));
      if (does === "drop-answer") {
        await until("the server to have it", () => served.asked().includes("point"));
      }
      it.send(frame(produce, 2, "after"));
      hold.open();
      await it.isCut();
      expect(it.heard()).toBe("");
      if (does === "drop-request") expect(served.asked()).toBe("");
    },
  );
});

test("Frozen connections pass nothing on and stay, while new ones work", async () => {
  const served = await serveKafka([]);
  const old = await client(served);
  old.send(frame(produce, 1, "before"));
  await old.hears("before");
  served.link.freeze();
  old.send(frame(produce, 2, "frozen"));
  const fresh = await client(served);
  fresh.send(frame(produce, 1, "fresh"));
  await fresh.hears("fresh");
  expect(served.asked()).not.toContain("frozen");
  expect(served.link.connections()).toBe(2);
});

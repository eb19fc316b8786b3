import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { FatalError, TransientError, WriterLostError } from "../errors.ts";
import type { KafkaConfig } from "./kafkajs.ts";
import { definiteFailure, producerFailure } from "./failure.ts";
import { kafkaLog } from "./kafka-log.ts";

const answer = (code: number) => Object.assign(new Error(`code ${code}`), { code });

function lostConnection(message: string): Error {
  return Object.assign(new Error(message), { name: "KafkaJSConnectionError" });
}

describe("A failed call on a producer", () => {
  test.each([
    ["INVALID_PRODUCER_EPOCH", 47],
    ["INVALID_PRODUCER_ID_MAPPING", 49],
    ["PRODUCER_FENCED", 90],
  ])("tells that another has taken over (%s)", (_, code) => {
    const failure = producerFailure("EndTxn", answer(code));
    expect(failure).toBeInstanceOf(WriterLostError);
    expect(failure).toMatchObject({ reason: "fenced" });
  });

  test.each([
    ["a lost connection", lostConnection("Closed connection")],
    ["a closed client", new TransientError("The client was closed")],
    ["REQUEST_TIMED_OUT", answer(7)],
    ["COORDINATOR_NOT_AVAILABLE", answer(15)],
    ["OUT_OF_ORDER_SEQUENCE_NUMBER", answer(45)],
    ["DUPLICATE_SEQUENCE_NUMBER", answer(46)],
    ["a code that nobody knows", answer(12_345)],
    ["a code of an error that caused another", new Error("wrapped", { cause: answer(7) })],
  ])("leaves the outcome open (%s)", (_, error) => {
    const failure = producerFailure("EndTxn", error);
    expect(failure).toBeInstanceOf(WriterLostError);
    expect(failure).toMatchObject({ reason: "indefinite", cause: error });
  });

  test.each([
    ["MESSAGE_TOO_LARGE", 10, "BROKEN_INVARIANT"],
    ["INVALID_RECORD", 87, "BROKEN_INVARIANT"],
    ["TOPIC_AUTHORIZATION_FAILED", 29, "UNAUTHORIZED"],
    ["TRANSACTIONAL_ID_AUTHORIZATION_FAILED", 53, "UNAUTHORIZED"],
  ])("is fatal where no retry cures it (%s)", (_, code, fatal) => {
    expect(producerFailure("Produce", answer(code))).toMatchObject({ code: fatal });
  });

  test("stays what it is where it has been judged before", () => {
    const fatal = new FatalError("LOST_SEND", "lost");
    expect(producerFailure("Produce", fatal)).toBe(fatal);
  });
});

describe("A question without an answer", () => {
  test.each([
    ["a lost connection", lostConnection("Connection timeout")],
    ["NOT_LEADER_OR_FOLLOWER", answer(6)],
    ["a code that nobody knows", answer(12_345)],
    ["a broker that hung up before it told its versions", new Error("Broker not connected")],
  ])("may be asked again (%s)", (_, error) => {
    expect(definiteFailure("Fetch", error)).toBeNull();
  });

  test("is a fault of our own where neither broker nor network has to do with it", () => {
    const fault = new RangeError("out of range");
    expect(definiteFailure("Fetch", fault)).toBe(fault);
  });
});

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** A broker that knows only how to let somebody in: it leaves the verdict on the credentials to `judge`. */
async function doorkeeper(
  judge: (socket: Socket, answer: (body: Buffer) => void) => void,
): Promise<KafkaConfig> {
  const int16 = (...values: number[]) => {
    const bytes = Buffer.alloc(values.length * 2);
    values.forEach((value, i) => bytes.writeInt16BE(value, i * 2));
    return bytes;
  };
  const saslHandshake = 17;
  const apiVersions = 18;
  const saslAuthenticate = 36;
  const server = createServer((socket) => {
    closing.push(() => socket.destroy());
    socket.on("error", () => undefined);
    socket.on("data", (request) => {
      const reply = (body: Buffer) => {
        const head = Buffer.alloc(8);
        head.writeInt32BE(4 + body.length, 0);
        request.copy(head, 4, 8, 12); // The correlation id.
        socket.write(Buffer.concat([head, body]));
      };
      const key = request.readInt16BE(4);
      const versions = [saslHandshake, 0, 1, apiVersions, 0, 2, saslAuthenticate, 0, 1];
      if (key === apiVersions)
        reply(int16(0, 0, 3, ...versions, 0, 0)); // And no throttling.
      else if (key === saslHandshake)
        reply(Buffer.concat([int16(0, 0, 1, 5), Buffer.from("PLAIN")]));
      else judge(socket, reply);
    });
  });
  server.listen(0, "127.0.0.1");
  closing.push(() => server.close());
  await once(server, "listening");
  return {
    brokers: [`127.0.0.1:${(server.address() as AddressInfo).port}`],
    clientId: "stranger",
    tls: null,
    sasl: { mechanism: "plain", username: "account-worker", password: "wrong" },
  };
}

describe("A broker that is asked to let a client in", () => {
  const at = { topic: "any", partition: 0 };

  test("ends the asking when it refuses the credentials", async () => {
    const refusal = "Authentication failed: Invalid username or password";
    const config = await doorkeeper((_, reply) => {
      const head = Buffer.alloc(4);
      head.writeInt16BE(58, 0);
      head.writeInt16BE(refusal.length, 2);
      reply(Buffer.concat([head, Buffer.from(refusal), Buffer.alloc(4 + 8)]));
    });
    const log = kafkaLog(config);
    const reader = await log.openReader();
    const { signal } = new AbortController();
    for (const call of [() => reader.offsets(at, signal), () => log.openProducer()]) {
      const error: unknown = await call().catch((it: unknown) => it);
      expect(error).toMatchObject({ name: "FatalError", code: "UNAUTHORIZED" });
      expect(String(error)).toContain(`${refusal}. Check the credentials`);
    }
    await reader.close();
    await log.close();
  });

  test("is asked again when it hangs up before it has said anything", async () => {
    const enough = new AbortController();
    let asked = 0;
    const config = await doorkeeper((socket) => {
      if (++asked === 3) enough.abort(new Error("enough"));
      if (asked === 2) socket.resetAndDestroy();
      else socket.destroy();
    });
    const reader = await kafkaLog(config).openReader();
    await expect(reader.offsets(at, enough.signal)).rejects.toThrow("enough");
    await reader.close();
  });
});

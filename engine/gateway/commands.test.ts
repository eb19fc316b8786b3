import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { FastifyInstance } from "fastify";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  accountDecider,
  bankCodec,
  bankTopics,
  commandRecord,
  createTopics,
  processPartition,
  type RunningPartition,
} from "../../test/bank.ts";
import { until } from "../../test/until.ts";
import { systemClock } from "../clock.ts";
import type { Codec } from "../codec.ts";
import { TransientError } from "../errors.ts";
import { headerOf } from "../log.ts";
import { isValidId, issueTimeOf, partitionOf } from "../message.ts";
import { MemoryLog } from "../testing/memory-log.ts";
import { MemoryStoreFiles } from "../testing/memory-store.ts";
import type { Network } from "../testing/network.ts";
import type { AggregateTopics } from "../topic.ts";
import { apiLimits } from "./api.ts";
import { commandRoutes } from "./commands.ts";
import { openServer } from "./server.ts";
import { openSubmitter, type Submitter } from "./submitter.ts";
import { readToken } from "./token.ts";

let log: MemoryLog;
let topics: AggregateTopics;
let codec: Codec;
let running: RunningPartition[];
let app: FastifyInstance;
let submitter: Submitter | null;
let stopping: AbortController;
let faults: unknown[];

beforeEach(async () => {
  log = new MemoryLog();
  topics = bankTopics("test", 2);
  await createTopics(log, topics);
  codec = await bankCodec(topics, systemClock);
  running = [];
  faults = [];
  stopping = new AbortController();
  await serve(log);
});

afterEach(async () => {
  await app.close();
  await submitter?.close();
  for (const partition of running) await partition.stop();
  expect(faults).toEqual([]);
});

async function serve(over: MemoryLog): Promise<void> {
  const aggregates = [topics];
  submitter = await openSubmitter({ log: over, codec, aggregates, onTrouble: () => undefined });
  app = openServer({
    answered: () => undefined,
    fault: (error) => faults.push(error),
  });
  commandRoutes(app, {
    api: {
      title: "the bank",
      version: "0",
      aggregates: [{ topics, decider: accountDecider }],
      projections: [],
    },
    codec,
    clock: systemClock,
    era: 1,
    submitter: () => submitter,
    stopping: stopping.signal,
  });
  await app.listen({ host: "127.0.0.1", port: 0 });
}

function startBank(): void {
  const { open: openStore } = new MemoryStoreFiles();
  running = [0, 1].map((partition) =>
    processPartition({ log, topics, codec, clock: systemClock, openStore }, partition),
  );
}

interface Posting {
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly query?: string;
}

/** Over a socket, by a client that sends headers just as they are given. */
async function post(type: string, posting: Posting) {
  const { body, headers = {}, query = "" } = posting;
  return ask("POST", `/commands/${type}${query}`, {
    headers: { "content-type": "application/json", ...headers },
    payload: typeof body === "string" ? body : JSON.stringify(body),
  });
}

interface Asked {
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly payload?: string;
}

async function ask(method: string, path: string, { headers = {}, payload = "" }: Asked = {}) {
  const { port } = app.server.address() as AddressInfo;
  const outgoing = request({ host: "127.0.0.1", port, method, path, headers, agent: false });
  outgoing.end(Buffer.from(payload, "utf8")); // Bytes: text would drag the headers into UTF-8.
  const [response] = (await once(outgoing, "response")) as [IncomingMessage];
  return {
    statusCode: response.statusCode,
    headers: response.headers,
    json: JSON.parse(await text(response)) as Record<string, unknown>,
  };
}

const open = (accountId: string, more = {}) =>
  post("OpenAccount", { body: { accountId, owner: "Ada", ...more } });
const deposit = (accountId: string, amountCents: number, more = {}) =>
  post("DepositFunds", { body: { accountId, amountCents, ...more } });

const sent = () =>
  [0, 1].flatMap((partition) => log.committed({ topic: topics.commands.name, partition }));

describe("a command by HTTP", () => {
  test("is answered 200 with its version and a token for it", async () => {
    startBank();
    await open("ada", { commandId: "open-ada" });
    const { statusCode, json, headers } = await deposit("ada", 500, { commandId: "d-1" });
    expect(statusCode).toBe(200);
    expect(json).toMatchObject({
      outcome: "accepted",
      commandId: "d-1",
      aggregateId: "ada",
      version: 2,
      duplicate: false,
    });
    expect(readToken(String(json["token"]), 1)).toMatchObject({
      topic: topics.events.name,
      partition: partitionOf("ada", 2),
      aggregateId: "ada",
      version: 2,
      commandOffset: 1n,
    });
    expect(headers["cache-control"]).toBe("no-store");
  });

  test("sent again has the same answer, and the token of its first handling", async () => {
    startBank();
    const first = await open("ada", { commandId: "open-ada" });
    const again = await open("ada", { commandId: "open-ada" });
    expect(again.json).toEqual({ ...first.json, duplicate: true });
  });

  test("is answered 409 with the reason where the business says no", async () => {
    startBank();
    const { statusCode, json, headers } = await deposit("nobody", 500, { commandId: "d-1" });
    expect(statusCode).toBe(409);
    expect(headers["content-type"]).toMatch("application/problem+json");
    expect(json).toMatchObject({
      type: "/problems/rejected",
      status: 409,
      code: "REJECTED",
      outcome: "rejected",
      reason: "NotOpen",
      commandId: "d-1",
      version: 0,
    });
  });

  test("is answered 412 with the version that there is where another was expected", async () => {
    startBank();
    await open("ada");
    const { statusCode, json } = await deposit("ada", 500, { expectedVersion: 7 });
    expect(statusCode).toBe(412);
    expect(json).toMatchObject({ code: "VERSION_CONFLICT", outcome: "conflict", version: 1 });
  });

  test("is answered 422 where its id was used for another", async () => {
    startBank();
    await open("ada");
    await deposit("ada", 500, { commandId: "d-1" });
    const { statusCode, json } = await deposit("ada", 501, { commandId: "d-1" });
    expect(statusCode).toBe(422);
    expect(json).toMatchObject({ code: "COMMAND_ID_REUSED", outcome: "failed" });
  });

  test("is answered 400 with its code where it can never be processed as it is", async () => {
    startBank();
    await open("ada");
    const { statusCode, json } = await deposit("ada", 1, {
      commandId: "d-1",
      issuedAt: Date.now() + 3_600_000,
    });
    expect([statusCode, json["code"], json["reason"]]).toEqual([
      400,
      "COMMAND_FAILED",
      "CLOCK_AHEAD",
    ]);
  });

  test("takes its id from Idempotency-Key, whatever text that is", async () => {
    startBank();
    const id = "zákaznice №1 🦊";
    const { json } = await post("OpenAccount", {
      body: { accountId: "ada", owner: "Ada" },
      headers: { "idempotency-key": Buffer.from(id, "utf8").toString("latin1") },
    });
    expect(json["commandId"]).toBe(id);
  });

  test("gets an id that tells its time where it has none", async () => {
    startBank();
    const { json } = await open("ada");
    expect(Date.now() - Number(issueTimeOf(String(json["commandId"]), null))).toBeLessThan(60_000);
  });

  test.each(["new\nline", "a/b", '"quoted"', "🦊", "__proto__", "%2F"])(
    "works for the account %j",
    async (accountId) => {
      startBank();
      const { statusCode, json } = await open(accountId);
      expect([statusCode, json["aggregateId"]]).toEqual([200, accountId]);
    },
  );

  test("hands on its correlation and its trace, and nothing else", async () => {
    const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    await post("OpenAccount", {
      body: { accountId: "ada", owner: "Ada" },
      headers: { "x-correlation-id": "order-7", traceparent: trace, actor: "mallory" },
      query: "?waitMs=0",
    });
    await until("the command", () => sent().length === 1);
    const [record] = sent();
    if (record === undefined) throw new Error("nothing was sent");
    expect(headerOf(record, "correlation-id")).toBe("order-7");
    expect(headerOf(record, "traceparent")).toBe(trace);
    expect(headerOf(record, "actor")).toBeNull();
  });

  test("that nobody handles in time is answered 202, with an address, and is handled later", async () => {
    const { statusCode, json, headers } = await post("OpenAccount", {
      body: { accountId: "a/b", owner: "Ada", commandId: "o 1" },
      query: "?waitMs=50",
    });
    expect(statusCode).toBe(202);
    const status = `/commands/o%201?aggregate=account&aggregateId=a%2Fb&at=${partitionOf("a/b", 2)}-0`;
    expect(json).toEqual({ outcome: "pending", commandId: "o 1", aggregateId: "a/b", status });
    expect(headers).toMatchObject({ location: status, "retry-after": "1" });
    expect(submitter?.inFlight).toBe(0);
    startBank();
    const again = await open("a/b", { commandId: "o 1" });
    expect(again.json).toMatchObject({ outcome: "accepted", duplicate: true, version: 1 });
  });

  test("is answered 503 while nobody can tell whether the broker took it, and is safe to send again", async () => {
    let isAway = true;
    const network: Network = async (call, handle) => {
      if (call.api === "Produce" && isAway) throw new TransientError("the broker is away");
      return handle();
    };
    await app.close();
    await submitter?.close();
    await serve(log.via(network));
    startBank();
    const { statusCode, json, headers } = await post("OpenAccount", {
      body: { accountId: "ada", owner: "Ada", commandId: "o-1" },
      query: "?waitMs=30",
    });
    expect([statusCode, json["code"], headers["retry-after"]]).toEqual([
      503,
      "NOT_ACKNOWLEDGED",
      "2",
    ]);
    isAway = false;
    const again = await open("ada", { commandId: "o-1" });
    expect(again.json).toMatchObject({ outcome: "accepted", version: 1 });
    expect(submitter?.inFlight).toBe(0);
  });

  test("is answered 503 before the replies can be heard", async () => {
    await submitter?.close();
    submitter = null;
    const { statusCode, json, headers } = await open("ada");
    expect([statusCode, json["code"], headers["retry-after"]]).toEqual([503, "NOT_READY", "1"]);
    expect(sent()).toEqual([]);
  });

  test("that waits when the server stops is told where to ask", async () => {
    const waiting = open("ada");
    await until("the command", () => sent().length === 1);
    stopping.abort();
    expect((await waiting).statusCode).toBe(202);
  });

  test("is refused with 429 once too many wait", async () => {
    const record = commandRecord({ topics, codec }, "OpenAccount", {
      commandId: "o",
      accountId: "ada",
      owner: "Ada",
    });
    const waiting = Array.from({ length: apiLimits.inFlight }, async () =>
      submitter?.submit(record, 60_000, stopping.signal),
    );
    const { statusCode, json, headers } = await open("one-more");
    expect([statusCode, json["code"], headers["retry-after"]]).toEqual([
      429,
      "TOO_MANY_IN_FLIGHT",
      "1",
    ]);
    stopping.abort();
    await Promise.all(waiting);
    expect(submitter?.inFlight).toBe(0);
  });
});

describe("bad input by HTTP", () => {
  const good = { accountId: "ada", amountCents: 5 };
  const tooLong = "x".repeat(256);
  const cases: readonly (readonly [string, string, Posting, number, readonly string[]])[] = [
    ["broken JSON", "DepositFunds", { body: '{"accountId":' }, 400, ["body"]],
    ["an empty body", "DepositFunds", { body: "" }, 400, ["body"]],
    ["a list", "DepositFunds", { body: [] }, 400, ["body"]],
    ["null", "DepositFunds", { body: "null" }, 400, ["body"]],
    ["the same key twice", "DepositFunds", { body: '{"a":1,"a":2}' }, 400, ["body"]],
    ["a lone surrogate", "OpenAccount", { body: '{"owner":"\\ud800"}' }, 400, ["body"]],
    [
      "fields that are unknown, missing or of another type, all at once",
      "DepositFunds",
      { body: { accountId: 7, amountCent: 1 } },
      400,
      ["body accountId", "body amountCents", "body amountCent"],
    ],
    ["NaN", "DepositFunds", { body: '{"accountId":"a","amountCents":NaN}' }, 400, ["body"]],
    [
      "2^53",
      "DepositFunds",
      { body: '{"accountId":"a","amountCents":9007199254740992}' },
      400,
      ["body"],
    ],
    [
      "a fraction",
      "DepositFunds",
      { body: { ...good, amountCents: 1.5 } },
      400,
      ["body amountCents"],
    ],
    [
      "an empty account id",
      "DepositFunds",
      { body: { ...good, accountId: "" } },
      400,
      ["body accountId"],
    ],
    [
      "an account id of 256 bytes",
      "DepositFunds",
      { body: { ...good, accountId: tooLong } },
      400,
      ["body accountId"],
    ],
    [
      "a command id that is no text",
      "DepositFunds",
      { body: { ...good, commandId: 5 } },
      400,
      ["body commandId"],
    ],
    [
      "an empty command id",
      "DepositFunds",
      { body: { ...good, commandId: "" } },
      400,
      ["body commandId"],
    ],
    [
      "two command ids that differ",
      "DepositFunds",
      { body: { ...good, commandId: "a" }, headers: { "idempotency-key": "b" } },
      400,
      ["header Idempotency-Key"],
    ],
    [
      "a header given twice",
      "DepositFunds",
      { body: good, headers: { "idempotency-key": ["a", "b"] } },
      400,
      ["header Idempotency-Key"],
    ],
    ["an unknown parameter", "DepositFunds", { body: good, query: "?wait=1" }, 400, ["query wait"]],
    [
      "a wait that is no number",
      "DepositFunds",
      { body: good, query: "?waitMs=-1" },
      400,
      ["query waitMs"],
    ],
    [
      "a wait too long",
      "DepositFunds",
      { body: good, query: "?waitMs=30001" },
      400,
      ["query waitMs"],
    ],
    [
      "a wait given twice",
      "DepositFunds",
      { body: good, query: "?waitMs=1&waitMs=1" },
      400,
      ["query waitMs"],
    ],
    ["a broken address", "%E0%A4%A", { body: good }, 400, ["path"]],
  ];

  test.each(cases)(
    "%s is refused, and nothing is sent",
    async (_, type, posting, status, fields) => {
      const { statusCode, json, headers } = await post(type, posting);
      expect(statusCode).toBe(status);
      expect(headers["content-type"]).toMatch("application/problem+json");
      const errors = json["errors"] as { field: string; message: string }[];
      expect(errors.map(({ field }) => field)).toEqual(fields);
      expect(errors.every(({ message }) => message.length > 5)).toBe(true);
      expect(sent()).toEqual([]);
    },
  );

  test("a type that is no command is 404 and names those that are", async () => {
    const { statusCode, json } = await post("Deposit", { body: good });
    expect(statusCode).toBe(404);
    expect(json["detail"]).toContain("DepositFunds");
  });

  test.each([["text/plain"], ["application/xml"], ["application/x-www-form-urlencoded"]])(
    "a body of %s is 415",
    async (type) => {
      const { statusCode, json } = await post("DepositFunds", {
        body: good,
        headers: { "content-type": type },
      });
      expect([statusCode, json["code"]]).toEqual([415, "UNSUPPORTED_MEDIA_TYPE"]);
    },
  );

  test("a body larger than any command is 413, as is a command larger than a record", async () => {
    const owner = (length: number) => ({ body: { accountId: "a", owner: "x".repeat(length) } });
    for (const length of [3_000_000, 1_100_000]) {
      const { statusCode, json } = await post("OpenAccount", owner(length));
      expect([statusCode, json["code"]]).toEqual([413, "TOO_LARGE"]);
    }
    expect(sent()).toEqual([]);
  });

  test("another method is 405 and says which there are, another address 404", async () => {
    const wrong = await ask("PUT", "/commands/DepositFunds");
    expect([wrong.statusCode, wrong.headers["allow"]]).toEqual([405, "POST"]);
    expect(wrong.json["code"]).toBe("METHOD_NOT_ALLOWED");
    const nowhere = await ask("GET", "/nowhere");
    expect([nowhere.statusCode, nowhere.json["code"]]).toEqual([404, "NOT_FOUND"]);
  });

  test("an address longer than any is 414", async () => {
    const { statusCode, json } = await post("DepositFunds", {
      body: good,
      query: `?waitMs=${"1".repeat(9_000)}`,
    });
    expect([statusCode, json["code"]]).toEqual([414, "URI_TOO_LONG"]);
  });

  test("an id that is made here is a valid one", async () => {
    startBank();
    const { json } = await open("ada");
    expect(isValidId(String(json["commandId"]))).toBe(true);
  });
});

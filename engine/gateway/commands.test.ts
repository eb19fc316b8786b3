import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { commandRecord } from "../../test/bank.ts";
import { type CommandServer, serveCommands } from "../../test/command-server.ts";
import { until } from "../../test/until.ts";
import { TransientError } from "../errors.ts";
import { headerOf } from "../log.ts";
import { isValidId, issueTimeOf, partitionOf } from "../message.ts";
import type { Network } from "../testing/network.ts";
import { apiLimits } from "./api.ts";
import { readToken } from "./token.ts";

let server: CommandServer;

beforeEach(async () => {
  server = await serveCommands();
});

afterEach(async () => {
  await server.close();
});

const open = (accountId: string, more = {}) =>
  server.post("OpenAccount", { body: { accountId, owner: "Ada", ...more } });
const deposit = (accountId: string, amountCents: number, more = {}) =>
  server.post("DepositFunds", { body: { accountId, amountCents, ...more } });

describe("a command by HTTP", () => {
  test("is answered 200 with its version and a token for it", async () => {
    server.startBank();
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
      topic: server.topics.events.name,
      partition: partitionOf("ada", 2),
      aggregateId: "ada",
      version: 2,
      commandOffset: 1n,
    });
    expect(headers["cache-control"]).toBe("no-store");
  });

  test("sent again has the same answer, and the token of its first handling", async () => {
    server.startBank();
    const first = await open("ada", { commandId: "open-ada" });
    const again = await open("ada", { commandId: "open-ada" });
    expect(again.json).toEqual({ ...first.json, duplicate: true });
  });

  test("is answered 409 with the reason where the business says no", async () => {
    server.startBank();
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
    server.startBank();
    await open("ada");
    const { statusCode, json } = await deposit("ada", 500, { expectedVersion: 7 });
    expect(statusCode).toBe(412);
    expect(json).toMatchObject({ code: "VERSION_CONFLICT", outcome: "conflict", version: 1 });
  });

  test("is answered 422 where its id was used for another", async () => {
    server.startBank();
    await open("ada");
    await deposit("ada", 500, { commandId: "d-1" });
    const { statusCode, json } = await deposit("ada", 501, { commandId: "d-1" });
    expect(statusCode).toBe(422);
    expect(json).toMatchObject({ code: "COMMAND_ID_REUSED", outcome: "failed" });
  });

  test("is answered 400 with its code where it can never be processed as it is", async () => {
    server.startBank();
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
    server.startBank();
    const id = "zákaznice №1 🦊";
    const { json } = await server.post("OpenAccount", {
      body: { accountId: "ada", owner: "Ada" },
      headers: { "idempotency-key": Buffer.from(id, "utf8").toString("latin1") },
    });
    expect(json["commandId"]).toBe(id);
  });

  test("gets an id that tells its time where it has none", async () => {
    server.startBank();
    const { json } = await open("ada");
    expect(isValidId(String(json["commandId"]))).toBe(true);
    expect(Date.now() - Number(issueTimeOf(String(json["commandId"]), null))).toBeLessThan(60_000);
  });

  test.each(["new\nline", "a/b", '"quoted"', "🦊", "__proto__", "%2F"])(
    "works for the account %j",
    async (accountId) => {
      server.startBank();
      const { statusCode, json } = await open(accountId);
      expect([statusCode, json["aggregateId"]]).toEqual([200, accountId]);
    },
  );

  test("hands on its correlation and its trace, and nothing else", async () => {
    const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    await server.post("OpenAccount", {
      body: { accountId: "ada", owner: "Ada" },
      headers: { "x-correlation-id": "order-7", traceparent: trace, actor: "mallory" },
      query: "?waitMs=0",
    });
    await until("the command", () => server.sent().length === 1);
    const [record] = server.sent();
    if (record === undefined) throw new Error("nothing was sent");
    expect(headerOf(record, "correlation-id")).toBe("order-7");
    expect(headerOf(record, "traceparent")).toBe(trace);
    expect(headerOf(record, "actor")).toBeNull();
  });

  test("that nobody handles in time is answered 202, with an address, and is handled later", async () => {
    const { statusCode, json, headers } = await server.post("OpenAccount", {
      body: { accountId: "a/b", owner: "Ada", commandId: "o 1" },
      query: "?waitMs=50",
    });
    expect(statusCode).toBe(202);
    const status = `/commands/o%201?aggregate=account&aggregateId=a%2Fb&at=${partitionOf("a/b", 2)}-0`;
    expect(json).toEqual({ outcome: "pending", commandId: "o 1", aggregateId: "a/b", status });
    expect(headers).toMatchObject({ location: status, "retry-after": "1" });
    expect(server.submitter?.inFlight).toBe(0);
    server.startBank();
    const again = await open("a/b", { commandId: "o 1" });
    expect(again.json).toMatchObject({ outcome: "accepted", duplicate: true, version: 1 });
  });

  test("is answered 503 while nobody can tell whether the broker took it, and is safe to send again", async () => {
    let isAway = true;
    const network: Network = async (call, handle) => {
      if (call.api === "Produce" && isAway) throw new TransientError("the broker is away");
      return handle();
    };
    await server.close();
    server = await serveCommands((log) => log.via(network));
    server.startBank();
    const { statusCode, json, headers } = await server.post("OpenAccount", {
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
    expect(server.submitter?.inFlight).toBe(0);
  });

  test("is answered 503 before the replies can be heard", async () => {
    await server.submitter?.close();
    server.submitter = null;
    const { statusCode, json, headers } = await open("ada");
    expect([statusCode, json["code"], headers["retry-after"]]).toEqual([503, "NOT_READY", "1"]);
    expect(server.sent()).toEqual([]);
  });

  test("that waits when the server stops is told where to ask", async () => {
    const waiting = open("ada");
    await until("the command", () => server.sent().length === 1);
    server.stopping.abort();
    expect((await waiting).statusCode).toBe(202);
  });

  test("that the broker has not acknowledged yet when the server stops is told where to ask", async () => {
    const acknowledged = Promise.withResolvers<null>();
    const network: Network = async ({ api }, handle) => {
      const answer = handle();
      if (api === "Produce") await acknowledged.promise;
      return answer;
    };
    await server.close();
    server = await serveCommands((log) => log.via(network));
    const waiting = open("ada");
    await until("the command", () => server.sent().length === 1);
    server.stopping.abort();
    await new Promise(setImmediate); // Who would not wait has given up by now.
    acknowledged.resolve(null);
    expect((await waiting).statusCode).toBe(202);
  });

  test("is refused with 429 once too many wait", async () => {
    const record = commandRecord(server, "OpenAccount", {
      commandId: "o",
      accountId: "ada",
      owner: "Ada",
    });
    const waiting = Array.from({ length: apiLimits.inFlight }, async () =>
      server.submitter?.submit(record, 60_000, server.stopping.signal),
    );
    const { statusCode, json, headers } = await open("one-more");
    expect([statusCode, json["code"], headers["retry-after"]]).toEqual([
      429,
      "TOO_MANY_IN_FLIGHT",
      "1",
    ]);
    server.stopping.abort();
    await Promise.all(waiting);
    expect(server.submitter?.inFlight).toBe(0);
  });
});

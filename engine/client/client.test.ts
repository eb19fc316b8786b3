import { afterEach, beforeEach, describe, expect, expectTypeOf, test } from "vitest";
import { bankOver, memoryBank, type MemoryBank } from "../../test/client/memory-bank.ts";
import { until } from "../../test/until.ts";
import { TransientError } from "../errors.ts";
import { headerOf } from "../log.ts";
import { issueTimeOf } from "../message.ts";
import type { Network } from "../testing/network.ts";
import { ClientError } from "./client-error.ts";
import type { Transport, TransportResponse } from "./transport.ts";

describe.each(["HTTP", "Kafka"] as const)("a command by the client over %s", (over) => {
  let opened: MemoryBank;
  let isAway: boolean;
  /** Sends that found no broker. */
  let misses: number;

  beforeEach(async () => {
    isAway = false;
    misses = 0;
    const network: Network = async (call, handle) => {
      if (call.api !== "Produce" || !isAway) return handle();
      misses += 1;
      throw new TransientError("the broker is away");
    };
    opened = await memoryBank(over, network);
  });

  afterEach(async () => {
    await opened.close();
    expect(opened.faults).toEqual([]);
  });

  const openAda = async (change = {}) =>
    bankOver(opened.transport).account.openAccount({ accountId: "ada", owner: "Ada", ...change });

  test("is accepted with its version and a token, under an id made here", async () => {
    opened.start();
    const bank = bankOver(opened.transport);
    const before = Date.now();
    const answer = await bank.account.openAccount({ accountId: "ada", owner: "Ada" });
    expect(answer).toMatchObject({ kind: "accepted", version: 1, aggregateId: "ada" });
    expect(answer).toMatchObject({ duplicate: false, token: expect.any(String) as string });
    expect(issueTimeOf(answer.commandId, null)).toBeGreaterThanOrEqual(before);
    const deposit = await bank.account.depositFunds({ accountId: "ada", amountCents: 500 });
    expect(deposit).toMatchObject({ kind: "accepted", version: 2 });
  });

  test("that the business refuses has its reason, typed as the decider's", async () => {
    opened.start();
    const answer = await bankOver(opened.transport).account.withdrawFunds({
      accountId: "nobody",
      amountCents: 1,
    });
    expect(answer).toMatchObject({ kind: "rejected", reason: "NotOpen", version: 0 });
    if (answer.kind === "rejected") {
      expectTypeOf(answer.reason).toEqualTypeOf<
        | "AlreadyOpened"
        | "NotOpen"
        | "AmountNotPositive"
        | "InsufficientFunds"
        | "BalanceLimitExceeded"
        | "BalanceNotZero"
      >();
    }
  });

  test("of a stale writer is a conflict with the version that there is", async () => {
    opened.start();
    await openAda();
    const answer = await openAda({ expectedVersion: 0 });
    expect(answer).toMatchObject({ kind: "conflict", version: 1 });
  });

  test("under an id that was used for another command fails with that code", async () => {
    opened.start();
    await openAda({ commandId: "o-1" });
    const answer = await openAda({ commandId: "o-1", owner: "Grace" });
    expect(answer).toMatchObject({ kind: "failed", code: "COMMAND_ID_REUSED", commandId: "o-1" });
  });

  test("whose answer is lost is sent again under the same id, and done once", async () => {
    opened.start();
    const lossy = losing(opened.transport, 2);
    const bank = bankOver(lossy.transport);
    const answer = await bank.account.openAccount({ accountId: "ada", owner: "Ada" });
    expect(answer).toMatchObject({ kind: "accepted", version: 1, duplicate: true });
    expect(opened.commands()).toHaveLength(3);
    expect(new Set(lossy.bodies).size).toBe(1);
    expect(opened.events()).toHaveLength(1);
  });

  test("is sent again while the broker is away, and done once when it is back", async () => {
    opened.start();
    isAway = true;
    const unheard: Promise<TransportResponse>[] = [];
    let exchanges = 0;
    const { transport } = opened;
    const impatient: Transport = {
      ...transport,
      exchange: async (request, signal) => {
        exchanges += 1;
        if (exchanges > 1) isAway = false;
        const response = transport.exchange(request, signal);
        if (exchanges > 1) return response;
        unheard.push(response);
        await until("the broker to be missed", () => misses > 0);
        throw new Error("the connection was cut");
      },
    };
    const { account } = bankOver(impatient);
    const answer = await account.openAccount({ accountId: "ada", owner: "Ada" });
    expect(answer.kind).toBe("accepted");
    expect((await unheard[0])?.status).toBe(200);
    expect(opened.commands()).toHaveLength(2);
    expect(opened.events()).toHaveLength(1);
  });

  test("that nobody handles in time is pending, and says where to ask", async () => {
    const bank = bankOver(opened.transport);
    const fields = { accountId: "ada", owner: "Ada", commandId: "o-1" };
    const answer = await bank.account.openAccount(fields, { withinMs: 200 });
    expect(answer).toMatchObject({ kind: "pending", commandId: "o-1", aggregateId: "ada" });
    if (answer.kind !== "pending") return;
    expect(answer.status).toMatch(/^\/commands\/o-1\?/);
    expect(await bank.account.waitFor(answer, { withinMs: 20 })).toEqual(answer);
    opened.start();
    expect(await bank.account.openAccount(fields)).toMatchObject({ kind: "accepted", version: 1 });
    expect(opened.events()).toHaveLength(1);
  });

  test("that is aborted rejects with the signal's reason, and may still be done", async () => {
    const stopping = new AbortController();
    const answer = bankOver(opened.transport).account.openAccount(
      { accountId: "ada", owner: "Ada" },
      { signal: stopping.signal },
    );
    await until("the command", () => opened.commands().length === 1);
    stopping.abort(new Error("the user left"));
    await expect(answer).rejects.toThrow("the user left");
    opened.start();
    await until("its event", () => opened.events().length === 1);
  });

  test("with a signal that has aborted sends nothing", async () => {
    const signal = AbortSignal.abort(new Error("too late"));
    const { account } = bankOver(opened.transport);
    await expect(account.closeAccount({ accountId: "ada" }, { signal })).rejects.toThrow(
      "too late",
    );
    expect(opened.commands()).toEqual([]);
  });

  test("that cannot be one rejects with every fault, and nothing is sent", async () => {
    const fields = { accountId: "", amountCents: 1.5 };
    const refused = await errorOf(bankOver(opened.transport).account.depositFunds(fields));
    expect([refused.code, refused.status]).toEqual(["INVALID_REQUEST", 400]);
    expect(refused.errors.map(({ field }) => field)).toEqual([
      "body amountCents",
      "body accountId",
    ]);
    expect(refused.commandId).toMatch(/^[0-9a-f-]{36}$/);
    expect(opened.commands()).toEqual([]);
  });

  test.each([NaN, Infinity])("with %s for a number is refused before it is sent", async (value) => {
    const fields = { accountId: "ada", amountCents: value };
    const refused = await errorOf(bankOver(opened.transport).account.depositFunds(fields));
    expect([refused.code, refused.message]).toEqual([
      "BAD_CALL",
      `amountCents is ${value}, which JSON has no number for. Nothing was sent.`,
    ]);
  });

  test("hands its correlation id on, whatever its characters", async () => {
    opened.start();
    const correlationId = "zażółć 🏦";
    const fields = { accountId: "ada", owner: "Ada" };
    await bankOver(opened.transport).account.openAccount(fields, { correlationId });
    const [event] = opened.events();
    expect(event && headerOf(event, "correlation-id")).toBe(correlationId);
  });

  test("goes to ids of any characters", async () => {
    opened.start();
    const accountId = "a/b?c#d\n__proto__ 🏦";
    expect(await openAda({ accountId })).toMatchObject({
      kind: "accepted",
      aggregateId: accountId,
    });
  });
});

/** The first answers get lost on their way; what was asked was handled. */
function losing(transport: Transport, count: number) {
  const bodies: (string | null)[] = [];
  const lossy: Transport = {
    ...transport,
    async exchange(request, signal) {
      const response = await transport.exchange(request, signal);
      bodies.push(request.body);
      if (bodies.length <= count) throw new Error("the connection was cut");
      return response;
    },
  };
  return { transport: lossy, bodies };
}

async function errorOf(call: Promise<unknown>): Promise<ClientError> {
  const error: unknown = await call.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (error instanceof ClientError) return error;
  throw new Error("it did not reject with a ClientError", { cause: error });
}

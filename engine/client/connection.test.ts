import { describe, expect, test } from "vitest";
import { accountClient } from "../../schemas/client.ts";
import type { Clock } from "../clock.ts";
import { jumpingClock } from "../testing/jumping-clock.ts";
import { client } from "./client.ts";
import { ClientError } from "./client-error.ts";
import type { Transport, TransportRequest, TransportResponse } from "./transport.ts";

/** What a client does with what it hears, on a clock that jumps; the other side is a script. */

const seed = Number(process.env["SEED"] ?? "1");

type Said = Partial<Omit<TransportResponse, "text">> & { readonly body?: unknown; text?: string };
type Script = (request: TransportRequest, turn: number) => Said | Error | "silence";

interface Scripted {
  readonly transport: Transport;
  readonly requests: (TransportRequest & { readonly atMs: number })[];
  readonly clock: Clock;
}

function scripted(script: Script): Scripted {
  const clock = jumpingClock(seed);
  const start = clock.now();
  const requests: Scripted["requests"] = [];
  const transport: Transport = {
    to: "the script",
    waitAtMostMs: 10_000,
    async exchange(request) {
      requests.push({ ...request, atMs: clock.now() - start });
      const said = script(request, requests.length);
      if (said === "silence") return new Promise(() => undefined);
      if (said instanceof Error) throw said;
      const { status = 200, retryAfter = null, body = null } = said;
      return { status, retryAfter, text: said.text ?? JSON.stringify(body) };
    },
    close: async () => undefined,
  };
  return { transport, requests, clock };
}

function accountOf({ transport, clock }: Scripted) {
  return client(transport, { aggregates: { account: accountClient } }, { clock }).account;
}

const fields = { accountId: "ada", owner: "Ada", commandId: "o-1" };
const about = { commandId: "o-1", aggregateId: "ada" };
const accepted = {
  body: { outcome: "accepted", ...about, version: 1, duplicate: false, token: "t-1" },
};
const problem = (status: number, code: string, more = {}): Said => ({
  status,
  body: { type: "/problems/x", title: "x", status, code, detail: `It is ${code}.`, ...more },
});

async function errorOf(call: Promise<unknown>): Promise<ClientError> {
  const error: unknown = await call.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (error instanceof ClientError) return error;
  throw new Error("it did not reject with a ClientError", { cause: error });
}

const cut = new Error("fetch failed", { cause: new Error("connect ECONNREFUSED") });

describe(`a call that gets no answer that counts (SEED=${seed})`, () => {
  test.each<[string, Said | Error]>([
    ["a cut connection", cut],
    ["429", problem(429, "TOO_MANY_IN_FLIGHT")],
    ["503", problem(503, "NOT_ACKNOWLEDGED")],
    ["a view that is behind", problem(409, "BEHIND")],
    ["502 of a proxy, in its own words", { status: 502, text: "<html>Bad gateway</html>" }],
  ])("is made again after %s, with the same bytes, until it is answered", async (_, said) => {
    const script = scripted((__, turn) => (turn < 4 ? said : accepted));
    expect(await accountOf(script).openAccount(fields)).toMatchObject({ kind: "accepted" });
    expect(script.requests).toHaveLength(4);
    expect(new Set(script.requests.map(({ body }) => body)).size).toBe(1);
  });

  test("waits longer from try to try, never for more than five seconds, and not beyond its time", async () => {
    const script = scripted(() => cut);
    const error = await errorOf(accountOf(script).openAccount(fields, { withinMs: 60_000 }));
    const at = script.requests.map(({ atMs }) => atMs);
    const pauses = at.slice(1).map((ms, i) => ms - (at[i] ?? 0));
    for (const [i, pause] of pauses.entries()) {
      const ceiling = Math.min(5_000, 100 * 2 ** i);
      expect(pause).toBeGreaterThanOrEqual(ceiling / 2);
      expect(pause).toBeLessThanOrEqual(ceiling);
    }
    expect(pauses.length).toBeGreaterThan(10);
    expect(pauses.length).toBeLessThan(40);
    expect(at.at(-1)).toBeLessThan(60_000);
    expect([error.code, error.commandId]).toEqual(["NO_ANSWER", "o-1"]);
    expect(error.message).toContain("fetch failed: connect ECONNREFUSED");
    expect(error.message).toContain('may have been done: the same one with the commandId "o-1"');
  });

  test("that was refused before it was sent says so when it gives up", async () => {
    const script = scripted(() => problem(503, "NOT_READY"));
    const error = await errorOf(accountOf(script).openAccount(fields, { withinMs: 1_000 }));
    expect([error.code, error.status]).toEqual(["NOT_READY", 503]);
    expect(error.message).toContain("Nothing was sent.");
  });

  test.each([
    ["2", 2_000],
    ["Wed, 01 Jan 2020 00:00:07 GMT", 7_000],
  ])("waits as long as Retry-After: %s says", async (retryAfter, ms) => {
    const again = { ...problem(429, "TOO_MANY_IN_FLIGHT"), retryAfter };
    const script = scripted((_, turn) => (turn === 1 ? again : accepted));
    await accountOf(script).openAccount(fields);
    expect(script.requests[1]?.atMs).toBe(ms);
  });

  test("gives up at once where Retry-After lies beyond its time", async () => {
    const script = scripted(() => ({ ...problem(503, "VIEWS_UNAVAILABLE"), retryAfter: "31" }));
    const error = await errorOf(accountOf(script).state("ada"));
    expect(error.code).toBe("VIEWS_UNAVAILABLE");
    expect(script.requests).toHaveLength(1);
  });

  test("is cut and made again where nothing is heard at all", async () => {
    const script = scripted((_, turn) => (turn === 1 ? "silence" : accepted));
    expect(await accountOf(script).openAccount(fields)).toMatchObject({ kind: "accepted" });
    expect(script.requests[1]?.atMs).toBeGreaterThanOrEqual(20_000);
    const silent = scripted(() => "silence");
    const started = silent.clock.now();
    const error = await errorOf(accountOf(silent).openAccount(fields, { withinMs: 5_000 }));
    expect(error.code).toBe("NO_ANSWER");
    expect(silent.clock.now() - started).toBe(7_000);
  });

  test("asks the server to wait no longer than it does itself", async () => {
    const script = scripted(() => accepted);
    await accountOf(script).openAccount(fields, { withinMs: 1_234.5 });
    await accountOf(script).openAccount(fields, { withinMs: 60_000 });
    expect(script.requests.map(({ path }) => path)).toEqual([
      "/commands/OpenAccount?waitMs=1234",
      "/commands/OpenAccount?waitMs=10000",
    ]);
  });

  test.each([NaN, -1, Infinity])("with %s for a time is refused", async (withinMs) => {
    const script = scripted(() => accepted);
    const error = await errorOf(accountOf(script).openAccount(fields, { withinMs }));
    expect([error.code, script.requests.length]).toEqual(["BAD_CALL", 0]);
  });
});

describe("an answer that counts is asked for once", () => {
  const told = { ...about, version: 3, duplicate: false };
  test.each<[string, Said, object]>([
    ["accepted", accepted, { kind: "accepted", ...about, version: 1, token: "t-1" }],
    [
      "rejected",
      problem(409, "REJECTED", { outcome: "rejected", reason: "NotOpen", ...told }),
      { kind: "rejected", reason: "NotOpen", ...told },
    ],
    [
      "a conflict",
      problem(412, "VERSION_CONFLICT", { outcome: "conflict", ...told }),
      { kind: "conflict", ...told },
    ],
    [
      "failed",
      problem(409, "EXPIRED", { outcome: "failed", reason: "EXPIRED", ...told, version: null }),
      { kind: "failed", code: "EXPIRED", ...about, duplicate: false },
    ],
  ])("%s", async (_, said, answer) => {
    const script = scripted(() => said);
    expect(await accountOf(script).openAccount(fields)).toMatchObject(answer);
    expect(script.requests).toHaveLength(1);
  });

  test.each([
    [400, "INVALID_REQUEST"],
    [404, "NOT_FOUND"],
    [413, "TOO_LARGE"],
    [500, "INTERNAL"],
  ])("a refusal %i %s, which is an error", async (status, code) => {
    const script = scripted(() => problem(status, code));
    const error = await errorOf(accountOf(script).openAccount(fields));
    expect([error.code, error.status, error.commandId]).toEqual([code, status, "o-1"]);
    expect(error.message).toContain(`It is ${code}.`);
    expect(script.requests).toHaveLength(1);
  });
});

describe("what is not as the contract says is an error that says so", () => {
  const { body } = accepted;
  test.each<[string, Said, string]>([
    ["a page", { text: "<html>Log in</html>" }, "it is no JSON object: <html>Log in"],
    ["a list", { body: [] }, "it is no JSON object"],
    ["no outcome", { body: {} }, "outcome is missing"],
    ["another outcome", { body: { ...body, outcome: "done" } }, '"done" is no outcome'],
    ["another command's", { body: { ...body, commandId: "x" } }, "it is about another command"],
    ["no token", { body: { ...body, token: undefined } }, "token is missing, not a text"],
    ["half a version", { body: { ...body, version: 1.5 } }, "version is 1.5, not a version"],
    ["no problem", { status: 401, body: { error: "who?" } }, "it is no problem with a code"],
    [
      "a status elsewhere",
      { status: 202, body: { outcome: "pending", ...about, status: "//evil.example/" } },
      "status leads elsewhere",
    ],
  ])("%s", async (_, said, what) => {
    const script = scripted(() => said);
    const error = await errorOf(accountOf(script).openAccount(fields));
    expect(error.code).toBe("BAD_ANSWER");
    expect(error.message).toContain(what);
    expect(error.message).toContain("Is this the address of a Foldlog gateway");
    expect(script.requests).toHaveLength(1);
  });
});

describe("a pending command", () => {
  const status = "/commands/o-1?aggregate=account&aggregateId=ada&at=1-7";
  const pending = { status: 202, body: { outcome: "pending", ...about, status } };
  const answered = { ...about, aggregate: "account", answeredAt: "2026-01-01T00:00:00.000Z" };

  test("is asked for by its status until it is answered, and its token is kept", async () => {
    const script = scripted(({ method, path }, turn) => {
      if (method === "POST") return pending;
      if (path.startsWith("/aggregates")) return { body: { version: 1, time: "t", state: {} } };
      if (turn < 5) return { body: { ...answered, outcome: "pending", version: null } };
      return { body: { ...answered, outcome: "accepted", version: 1, reason: null, token: "t-9" } };
    });
    const account = accountOf(script);
    const answer = await account.openAccount(fields);
    expect(answer).toEqual({
      kind: "accepted",
      ...about,
      version: 1,
      token: "t-9",
      duplicate: null,
    });
    expect(script.requests.slice(1).every(({ path }) => path === status)).toBe(true);
    await account.state("ada");
    expect(script.requests.at(-1)?.path).toContain("token=t-9");
  });

  test("stays pending when the time is over, or its status cannot be read", async () => {
    const never = scripted(({ method }) =>
      method === "POST" ? pending : { body: { ...answered, outcome: "pending" } },
    );
    const answer = await accountOf(never).openAccount(fields, { withinMs: 5_000 });
    expect(answer).toEqual({ kind: "pending", ...about, status });
    const away = scripted(({ method }) =>
      method === "POST" ? pending : { ...problem(503, "VIEWS_UNAVAILABLE"), retryAfter: "5" },
    );
    expect((await accountOf(away).openAccount(fields)).kind).toBe("pending");
  });

  test("can be waited for later", async () => {
    const script = scripted(() => ({
      body: { ...answered, outcome: "rejected", version: 4, reason: "NotOpen" },
    }));
    const answer = await accountOf(script).waitFor({ kind: "pending", ...about, status });
    expect(answer).toMatchObject({ kind: "rejected", reason: "NotOpen", version: 4 });
    expect(script.requests.map(({ path }) => path)).toEqual([status]);
  });
});

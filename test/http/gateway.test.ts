import { afterAll, beforeAll, expect, test } from "vitest";
import { partitionOf } from "../../engine/message.ts";
import { until } from "../until.ts";
import { openWholeBank, type Running, type WholeBank } from "./whole-bank.ts";

/** The whole way over HTTP: a command in, its event in a view, on the real broker, registry and Postgres. */

let bank: WholeBank;
let account: Running | null = null;

beforeAll(async () => {
  bank = await openWholeBank();
});

afterAll(async () => {
  await bank.close();
});

interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

async function get(path: string): Promise<Answer> {
  const response = await fetch(`${bank.url}${path}`);
  return { status: response.status, body: (await response.json()) as Answer["body"] };
}

async function post(type: string, fields: object, query = ""): Promise<Answer> {
  const response = await fetch(`${bank.url}/commands/${type}${query}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(fields),
  });
  return { status: response.status, body: (await response.json()) as Answer["body"] };
}

/** Longer than any machine should need. */
const patiently = "?waitMs=30000";

test("a command that no worker handles is pending, and is answered once there is one", async () => {
  const fields = { commandId: "open-ada", accountId: "ada", owner: "Ada" };
  // The same id until the broker has it: how a client does it, too.
  const { body } = await until("the broker to take it", async () => {
    const answer = await post("OpenAccount", fields, "?waitMs=0");
    return answer.status === 503 ? null : answer;
  });
  expect(body["outcome"]).toBe("pending");
  const address = String(body["status"]);
  expect(await get(address)).toMatchObject({ status: 200, body: { outcome: "pending" } });
  account = bank.startAccount();
  const answer = await until("the answer", async () => {
    const asked = await get(address);
    return asked.body["outcome"] === "pending" ? null : asked;
  });
  expect(answer.body).toMatchObject({ outcome: "accepted", version: 1, aggregateId: "ada" });
});

test("an accepted command is in the view for whoever holds its token, and in the events", async () => {
  for (let n = 1; n <= 20; n++) {
    const { status, body } = await post(
      "DepositFunds",
      { accountId: "ada", amountCents: 5 },
      patiently,
    );
    expect([status, body["version"]]).toEqual([200, n + 1]);
    const token = String(body["token"]);
    const row = await get(`/views/balances/ada?token=${token}&waitMs=30000`);
    expect(row).toMatchObject({ status: 200, body: { balance_cents: 5 * n, version: n + 1 } });
    const whole = await get(`/aggregates/account/ada?token=${token}&waitMs=30000`);
    expect(whole.body).toMatchObject({ version: n + 1, state: { balanceCents: 5 * n } });
    const events = await get(
      `/aggregates/account/ada/events?after=${n}&token=${token}&waitMs=30000`,
    );
    expect(events.body["events"]).toMatchObject([
      { version: n + 1, type: "FundsDeposited", commandId: body["commandId"] },
    ]);
  }
});

test("one that is in flight when the gateway stops is told where to ask", async () => {
  const { status, body } = await post(
    "WithdrawFunds",
    { accountId: "ada", amountCents: 1_000 },
    patiently,
  );
  expect([status, body["reason"]]).toEqual([409, "InsufficientFunds"]);
  await account?.stop();
  const reader = await bank.log.openReader();
  const of = {
    topic: bank.topics.commands.name,
    partition: partitionOf("ada", bank.topics.commands.partitions),
  };
  const endOfCommands = async () => (await reader.offsets(of, AbortSignal.timeout(30_000))).end;
  const before = await endOfCommands();
  const waiting = post("DepositFunds", { accountId: "ada", amountCents: 1 }, patiently);
  await until("the command to be sent", async () => (await endOfCommands()) > before);
  await reader.close();
  await bank.serving.stop();
  const answer = await waiting;
  expect([answer.status, answer.body["outcome"]]).toEqual([202, "pending"]);
});

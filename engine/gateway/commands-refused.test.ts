import { afterEach, beforeEach, expect, test } from "vitest";
import { type CommandServer, type Posting, serveCommands } from "../../test/command-server.ts";

/** Bad input by HTTP: each refused with what is wrong, and nothing is sent. */

let server: CommandServer;

beforeEach(async () => {
  server = await serveCommands();
});

afterEach(async () => {
  await server.close();
});

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
    "U+0000, which no view could hold",
    "OpenAccount",
    { body: { accountId: "a\0", owner: "A\0" } },
    400,
    ["body accountId", "body owner"],
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

test.each(cases)("%s is refused, and nothing is sent", async (_, type, posting, status, fields) => {
  const { statusCode, json, headers } = await server.post(type, posting);
  expect(statusCode).toBe(status);
  expect(headers["content-type"]).toMatch("application/problem+json");
  const errors = json["errors"] as { field: string; message: string }[];
  expect(errors.map(({ field }) => field)).toEqual(fields);
  expect(errors.every(({ message }) => message.length > 5)).toBe(true);
  expect(server.sent()).toEqual([]);
});

test("a type that is no command is 404 and names those that are", async () => {
  const { statusCode, json } = await server.post("Deposit", { body: good });
  expect(statusCode).toBe(404);
  expect(json["detail"]).toContain("DepositFunds");
});

test.each([["text/plain"], ["application/xml"], ["application/x-www-form-urlencoded"]])(
  "a body of %s is 415",
  async (type) => {
    const { statusCode, json } = await server.post("DepositFunds", {
      body: good,
      headers: { "content-type": type },
    });
    expect([statusCode, json["code"]]).toEqual([415, "UNSUPPORTED_MEDIA_TYPE"]);
  },
);

test("a body larger than any command is 413, as is a command larger than a record", async () => {
  const owner = (length: number) => ({ body: { accountId: "a", owner: "x".repeat(length) } });
  for (const length of [3_000_000, 1_100_000]) {
    const { statusCode, json } = await server.post("OpenAccount", owner(length));
    expect([statusCode, json["code"]]).toEqual([413, "TOO_LARGE"]);
  }
  expect(server.sent()).toEqual([]);
});

test("another method is 405 and says which there are, another address 404", async () => {
  const wrong = await server.ask("PUT", "/commands/DepositFunds");
  expect([wrong.statusCode, wrong.headers["allow"]]).toEqual([405, "POST"]);
  expect(wrong.json["code"]).toBe("METHOD_NOT_ALLOWED");
  const nowhere = await server.ask("GET", "/nowhere");
  expect([nowhere.statusCode, nowhere.json["code"]]).toEqual([404, "NOT_FOUND"]);
});

test("an address longer than any is 414", async () => {
  const { statusCode, json } = await server.post("DepositFunds", {
    body: good,
    query: `?waitMs=${"1".repeat(9_000)}`,
  });
  expect([statusCode, json["code"]]).toEqual([414, "URI_TOO_LONG"]);
});

import { describe, expect, test } from "vitest";
import { bankTopics } from "../../test/bank.ts";
import type { Reply } from "../generated.ts";
import { reusedIdReplyKey, unidentifiedReplyKey } from "../message.ts";
import type { ProjectedRecord, ReplyMessage } from "../projection.ts";
import { tablesAfter } from "../testing/apply.ts";
import { commandStatus } from "./command-status.ts";

const topics = bankTopics("bank");
const projection = commandStatus([topics]);
const monday = new Date("2020-01-06T00:00:00.000Z");
const tuesday = new Date("2020-01-07T00:00:00.000Z");

function reply(
  said: Partial<Reply>,
  about: Partial<ProjectedRecord> = {},
): ReplyMessage & Partial<ProjectedRecord> {
  const data: Reply = {
    commandId: "c",
    commandType: "DepositFunds",
    aggregateId: "a",
    commandOffset: 7,
    firstOffset: said.commandOffset ?? 7,
    outcome: "accepted",
    version: 3,
    reason: null,
    duplicate: false,
    payloadHash: null,
    issuedAt: null,
    ...said,
  };
  return { type: "Reply", data, key: data.commandId ?? "", time: monday, ...about };
}

const rowsAfter = async (...replies: readonly (ReplyMessage & Partial<ProjectedRecord>)[]) =>
  (await tablesAfter(projection, replies)).command_status;

const failed = (code: string, commandOffset: number) =>
  reply({ outcome: "failed", reason: code, version: null, commandOffset });

describe("the status of a command", () => {
  test("is its answer, with where it was handled and when", async () => {
    expect(await rowsAfter(reply({}))).toEqual([
      {
        key: ["c", "account", 0, "a"],
        command_id: "c",
        command_type: "DepositFunds",
        outcome: "accepted",
        version: 3,
        reason: null,
        first_offset: 7,
        command_offset: 7,
        answered_at: monday,
        seen_at: monday,
      },
    ]);
  });

  test("keeps a final answer, whatever fails before or after it", async () => {
    const accepted = reply({ commandOffset: 8 });
    const [before] = await rowsAfter(failed("UNKNOWN_SCHEMA", 6), accepted);
    expect(before).toMatchObject({ outcome: "accepted", version: 3, failed_offset: 6 });
    const [after] = await rowsAfter(accepted, failed("EXPIRED", 9));
    expect(after).toMatchObject({
      outcome: "accepted",
      version: 3,
      reason: null,
      command_offset: 8,
      failure: "EXPIRED",
      failed_offset: 9,
    });
  });

  test("of a duplicate is the first answer, given again", async () => {
    const again = reply(
      { duplicate: true, commandOffset: 20, firstOffset: 7 },
      { time: tuesday, offset: 1 },
    );
    expect(await rowsAfter(reply({}), again)).toMatchObject([
      { outcome: "accepted", first_offset: 7, command_offset: 20, answered_at: tuesday },
    ]);
  });

  test("tells apart two aggregates that use one command id, and a partition that is not theirs", async () => {
    const rows = await rowsAfter(
      reply({}),
      reply({ aggregateId: "b", outcome: "rejected", reason: "NotOpen" }),
      { ...failed("WRONG_PARTITION", 1), partition: 1 },
    );
    expect(rows.map(({ key, outcome }) => [key, outcome])).toEqual([
      [["c", "account", 0, "a"], "accepted"],
      [["c", "account", 0, "b"], "rejected"],
      [["c", "account", 1, "a"], undefined],
    ]);
  });

  test("leaves the answer alone where the id comes again for another command", async () => {
    const reused = { ...failed("COMMAND_ID_REUSED", 9), key: reusedIdReplyKey("c", 9n) };
    expect((await rowsAfter(reply({}), reused)).map(({ key }) => key[0])).toEqual(["c", "c@9"]);
  });

  test("is there for a record that nobody could read", async () => {
    const unread = { commandId: null, commandType: null, aggregateId: null, version: null };
    const nameless = reply(
      { ...unread, outcome: "failed", reason: "TRUNCATED" },
      { key: unidentifiedReplyKey(0, 7n) },
    );
    expect(await rowsAfter(nameless)).toMatchObject([
      { key: ["@0/7", "account", 0, ""], command_id: null, failure: "TRUNCATED" },
    ]);
  });

  test("is not kept of an id that Postgres cannot hold, and no other command suffers", async () => {
    const rows = await rowsAfter(
      reply({ commandId: "c\0" }),
      reply({ aggregateId: "a\0" }),
      reply({ commandId: "__proto__" }),
    );
    expect(rows.map(({ key }) => key[0])).toEqual(["__proto__"]);
  });
});

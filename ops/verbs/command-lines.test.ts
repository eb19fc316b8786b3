import { beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../engine/clock.ts";
import { partitionOf } from "../../engine/message.ts";
import { bankCodec, bankTopics } from "../../test/bank.ts";
import {
  type CommandLines,
  type Line,
  linesOf,
  maxLineBytes,
  readCommandLine,
} from "./command-lines.ts";

async function split(...chunks: readonly (string | Buffer)[]): Promise<readonly Line[]> {
  const lines: Line[] = [];
  async function* read() {
    for (const chunk of chunks) yield Buffer.from(chunk);
  }
  for await (const found of linesOf(read())) lines.push(...found.lines);
  return lines;
}

const shown = (lines: readonly Line[]) =>
  lines.map(({ number, bytes }) => [number, bytes?.toString("utf8") ?? null]);

describe("lines", () => {
  test("are numbered from 1, with the blank ones counted and left out", async () => {
    expect(shown(await split("a\n\n \r\nb\n"))).toEqual([
      [1, "a"],
      [4, "b"],
    ]);
  });

  test("need no line feed after the last one", async () => {
    expect(shown(await split("a\nb"))).toEqual([
      [1, "a"],
      [2, "b"],
    ]);
  });

  test("are the same wherever the chunks are cut, within a character too", async () => {
    const text = Buffer.from('{"a":"é"}\n\n{"b":"日本"}\nend');
    const whole = shown(await split(text));
    for (let cut = 0; cut <= text.length; cut++) {
      expect(shown(await split(text.subarray(0, cut), text.subarray(cut)))).toEqual(whole);
    }
  });

  test("of a length that no command has are not held, and the next one is read", async () => {
    const part = Buffer.alloc(maxLineBytes / 4, "x");
    const lines = await split("a\n", part, part, part, part, part, "\nb\n");
    expect(shown(lines)).toEqual([
      [1, "a"],
      [2, null],
      [3, "b"],
    ]);
  });

  test("of nothing are none", async () => {
    expect(await split()).toEqual([]);
    expect(await split("")).toEqual([]);
  });
});

describe("a line", () => {
  const topics = bankTopics("test", 12);
  let of: CommandLines;
  beforeAll(async () => {
    of = { aggregates: [topics], codec: await bankCodec(topics, systemClock) };
  });
  const read = (line: string | Buffer | object) => {
    const isText = typeof line === "string" || Buffer.isBuffer(line);
    return readCommandLine(of, {
      number: 7,
      bytes: Buffer.from(isText ? line : JSON.stringify(line)),
    });
  };
  const problems = (line: string | Buffer | object) => {
    const found = read(line);
    return found.kind === "refused" ? found.problems : [];
  };
  const deposit = { type: "DepositFunds", commandId: "c", accountId: "ada", amountCents: 5 };

  test("becomes a record with the aggregate's key, in its partition", () => {
    const found = read(deposit);
    expect(found).toMatchObject({
      kind: "command",
      outgoing: { commandId: "c", type: "DepositFunds", aggregateId: "ada", line: 7 },
    });
    if (found.kind === "refused") return;
    const { record } = found.outgoing;
    expect(record).toMatchObject({
      topic: "test.account.commands",
      partition: partitionOf("ada", 12),
    });
    expect(String(record.key)).toBe("ada");
    expect(of.codec.decode(topics.commands, record.value ?? Buffer.alloc(0)).data).toEqual({
      commandId: "c",
      accountId: "ada",
      amountCents: 5,
      reference: null,
      expectedVersion: null,
      issuedAt: null, // None is invented: it would be another one on each run.
    });
  });

  test.each([
    ["of no characters", ""],
    ["of 10,000 characters", "x".repeat(10_000)],
    ["__proto__", "__proto__"],
    ["with a line end and an emoji", "a\n😀'\""],
  ])("with an account id %s is sent: the processor answers it", (_, accountId) => {
    expect(problems({ ...deposit, accountId })).toEqual([]);
  });

  test.each([0, -1, 2 ** 53 - 2])("with an amount of %i is sent", (amountCents) => {
    expect(problems({ ...deposit, amountCents })).toEqual([]);
  });

  test.each([
    ["NaN", '{"type":"DepositFunds","amountCents":NaN}', /^column 38: .*"NaN"/],
    ["2^53", '{"amountCents":9007199254740992}', /^column 16: .*2\^53/],
    ["2^63 − 1", '{"amountCents":9223372036854775807}', /^column 16: .*2\^53/],
    ["a lone surrogate", '{"accountId":"\\ud800"}', /^column 14: .*surrogate/],
    ["no JSON", "garbage", /^column 1: /],
    ["a list", "[1]", /a command is a JSON object/],
    ["null", "null", /a command is a JSON object/],
    ["no type", "{}", /^type is missing; the commands are OpenAccount, /],
    ["an unknown type", '{"type":"DepositFund"}', /"DepositFund" is not a command/],
    ["a type that is no text", '{"type":7}', /type 7 is not a command/],
  ])("with %s is refused", (_, line, problem) => {
    const found = problems(line);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(problem);
  });

  test("that is not UTF-8 is refused", () => {
    expect(problems(Buffer.from([0x7b, 0xff, 0x7d]))).toEqual(["the line is not UTF-8"]);
  });

  test("is refused with everything that is wrong with it", () => {
    const { type, accountId } = deposit;
    expect(problems({ type, accountId, amuntCents: 5, amountCents: "5" })).toEqual([
      "commandId is missing (string)",
      expect.stringMatching(/^amountCents: expected an integer.*got "5"$/),
      expect.stringMatching(/^amuntCents is not a field .*did you mean amountCents\?$/),
    ]);
  });

  test("that takes more than the log does is refused, and one that just fits is not", () => {
    const open = { type: "OpenAccount", commandId: "c", accountId: "ada" };
    expect(problems({ ...open, owner: "x".repeat(1_048_588) })).toEqual([
      expect.stringMatching(/as a record, and 1,048,588 is the most/),
    ]);
    expect(problems({ ...open, owner: "x".repeat(1_048_400) })).toEqual([]);
  });
});

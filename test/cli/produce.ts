import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { until } from "../until.ts";
import { type Finished, jsonLines, type OwnBank } from "./own-bank.ts";

/** `foldlog produce` on a bank whose workers run. */
export function produceTests(bank: () => OwnBank): void {
  const run = randomBytes(4).toString("hex");
  const id = (name: string) => `${run}-${name}`;
  const line = (type: string, commandId: string, accountId: string, more: object = {}) =>
    `${JSON.stringify({ type, commandId: id(commandId), accountId: id(accountId), ...more })}\n`;
  const small =
    line("OpenAccount", "1", "ada", { owner: "Ada" }) +
    line("DepositFunds", "2", "ada", { amountCents: 500 }) +
    line("WithdrawFunds", "3", "ada", { amountCents: 501 }) +
    line("WithdrawFunds", "4", "ada", { amountCents: 200, reference: "rent" }) +
    line("DepositFunds", "5", "nobody", { amountCents: 1 }) +
    line("DepositFunds", "6", "ada", { amountCents: 1, expectedVersion: 1 });
  const summaryOf = (finished: Finished) => jsonLines(finished).at(-1) ?? {};

  test("of a file reports what became of it, and the second time the same", async () => {
    const file = join(bank().dir, `${run}.ndjson`);
    writeFileSync(file, small);
    const counts = { sent: 6, accepted: 3, rejected: 2, conflict: 1, failed: 0, unanswered: 0 };
    const reasons = { InsufficientFunds: 1, NotOpen: 1 };
    const histories: string[] = [];
    for (const duplicates of [0, 6]) {
      const finished = await bank().foldlog(["produce", file, "--json"]);
      expect(summaryOf(finished)).toMatchObject({ ...counts, rejections: reasons, duplicates });
      expect(finished.code).toBe(0);
      histories.push((await bank().foldlog(["show", "account", id("ada"), "--json"])).stdout);
    }
    expect(histories[1]).toBe(histories[0]);
    const text = await bank().foldlog(["produce", file]);
    expect(text.stdout).toMatch(/rejected +2 {2}1 InsufficientFunds, 1 NotOpen/);
    expect(text.stdout).toMatch(/answered before +6/);
    expect(text.stdout).toMatch(/p50 .* ms, p99 .* ms/);
    expect(text.stderr).toBe(""); // No progress where there is no terminal.
  });

  test("reports a line that is wrong with its number and all that is wrong, and sends the others", async () => {
    const input =
      line("OpenAccount", "g1", "grace", { owner: "Grace" }) +
      `{"type":"DepositFunds","commandId":"x","amountCents":"1"}\n` +
      "\n" +
      `{"type":"DepositFunds","commandId":"x","accountId":"x","amountCents":NaN}\n` +
      `{"type":"OpenAccount","commandId":"x","accountId":"\\ud800","owner":"x"}\n` +
      line("OpenAccount", "g2", "x", { owner: "x".repeat(1_048_588) }) +
      line("DepositFunds", "g3", "grace", { amountCents: 9 });
    const finished = await bank().foldlog(["produce", "-", "--json"], { input });
    expect(finished.stderr.trimEnd().split("\n")).toEqual([
      expect.stringMatching(/^stdin:2: accountId is missing \(string\); amountCents: expected/),
      expect.stringMatching(/^stdin:4: column \d+: .*"NaN"/),
      expect.stringMatching(/^stdin:5: column \d+: .*surrogate/),
      expect.stringMatching(/^stdin:6: it takes 1,\d+,\d+ bytes/),
    ]);
    expect(summaryOf(finished)).toMatchObject({ sent: 2, accepted: 2, refusedLines: 4 });
    expect(finished.code).toBe(1);
  });

  test("--strict sends nothing after a line that is wrong", async () => {
    const input =
      line("OpenAccount", "s1", "strict", { owner: "S" }) +
      "garbage\n" +
      line("DepositFunds", "s2", "strict", { amountCents: 1 });
    const finished = await bank().foldlog(["produce", "-", "--strict", "--json"], { input });
    expect(summaryOf(finished)).toMatchObject({ sent: 1, accepted: 1, refusedLines: 1 });
    expect(finished.code).toBe(1);
  });

  test("sends ids that only the processor can judge, and gets its answers", async () => {
    const open = (n: number, accountId: string) =>
      `${JSON.stringify({ type: "OpenAccount", commandId: id(`i${n}`), accountId, owner: "x" })}\n`;
    const odd = [`${run}\n"'`, `${run}-😀`, "__proto__", "", "x".repeat(10_000)];
    const input = odd.map((it, n) => open(n, it)).join("");
    const finished = await bank().foldlog(["produce", "-", "--answers", "--json"], { input });
    const answers = jsonLines(finished).filter(({ kind }) => kind === "answer");
    const byId = new Map(answers.map((it) => [it["aggregateId"], [it["outcome"], it["reason"]]]));
    expect(odd.map((it) => byId.get(it))).toEqual([
      ["accepted", null],
      ["accepted", null],
      ["accepted", null],
      ["failed", "INVALID_AGGREGATE_ID"],
      ["failed", "INVALID_AGGREGATE_ID"],
    ]);
    expect(finished.code).toBe(0);
  });

  test("answers the same id with another payload by COMMAND_ID_REUSED", async () => {
    const input =
      line("OpenAccount", "r1", "reused", { owner: "R" }) +
      line("DepositFunds", "r2", "reused", { amountCents: 1 }) +
      line("DepositFunds", "r2", "reused", { amountCents: 2 });
    const finished = await bank().foldlog(["produce", "-", "--json"], { input });
    expect(summaryOf(finished)).toMatchObject({ accepted: 2, failures: { COMMAND_ID_REUSED: 1 } });
  });

  test("--no-wait sends and does not wait", async () => {
    const input = line("OpenAccount", "n1", "nowait", { owner: "N" });
    const finished = await bank().foldlog(["produce", "-", "--no-wait", "--json"], { input });
    expect(summaryOf(finished)).toMatchObject({
      waited: false,
      sent: 1,
      accepted: 0,
      unanswered: 0,
    });
    expect(finished.code).toBe(0);
    await until("the account to be there", async () => {
      return (await bank().foldlog(["show", "account", id("nowait")])).code === 0;
    });
  });

  test("makes load under a seed, some of which is rejected, and all is answered", async () => {
    const load = ["--rate", "200", "--for", "2s", "--accounts", "5", "--seed", run];
    const finished = await bank().foldlog(["produce", ...load, "--json"]);
    const { rejections, ...summary } = summaryOf(finished);
    expect(summary).toMatchObject({ unanswered: 0, conflict: 0, failed: 0, seed: run });
    expect(Object.keys(rejections as object)).toEqual(["InsufficientFunds"]);
    const sent = Number(summary["sent"]);
    expect(sent).toBeGreaterThan(0);
    expect(Number(summary["accepted"]) + Number(summary["rejected"])).toBe(sent);
    expect(finished.stderr).toContain(`Seed ${run}: 400 commands on 5 accounts`);
    // It ends with its time, also where a busy machine has not sent all by then, and says so.
    expect(finished.stderr.includes("400 were asked for")).toBe(sent !== 400);
  });

  test("at Ctrl-C waits for what is in flight, sums up, and exits with 130", async () => {
    const load = ["--rate", "50", "--for", "5m", "--accounts", "5", "--answers", "--json"];
    const running = bank().start(["produce", ...load]);
    await until("some answers", () => running.output().stdout.split("\n").length > 20);
    running.child.kill("SIGINT");
    const finished = await running.finished;
    const { sent, unanswered } = summaryOf(finished);
    const answers = jsonLines(finished).filter(({ kind }) => kind === "answer");
    expect({ unanswered, sent }).toEqual({ unanswered: 0, sent: answers.length });
    expect(finished.code).toBe(130);
  });

  test("ends quietly where nobody reads on, as with head", async () => {
    const input = Array.from({ length: 200 }, (_, n) =>
      line("OpenAccount", `h${n}`, `h${n}`, { owner: "H" }),
    ).join("");
    const running = bank().start(["produce", "-", "--answers"], { input });
    running.child.stdout?.destroy();
    const { code, stderr } = await running.finished;
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(code).toBe(1);
  });
}

import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { isDeepStrictEqual, promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readPage } from "../docs/markdown.ts";
import { until } from "../until.ts";
import { openWholeBank, type WholeBank } from "./whole-bank.ts";

/** Every command of `docs/http.md`, run in its order: its answer is the JSON that follows it on the page. */

const { fences } = readPage({ file: "docs/http.md", text: readFileSync("docs/http.md", "utf8") });
const runs = fences.flatMap(({ language, text, line }, i) => {
  const answer = fences[i + 1];
  const isShown = answer?.language === "json";
  return language === "sh" && isShown ? [{ line, script: text, answer: answer.text }] : [];
});

let bank: WholeBank;

beforeAll(async () => {
  bank = await openWholeBank();
  bank.startAccount();
});

afterAll(async () => {
  await bank.close();
});

/** What differs from run to run is `…` on the page. */
function asShown(actual: unknown, shown: unknown): unknown {
  if (shown === "…") return typeof actual === "string" && actual !== "" ? "…" : actual;
  if (Array.isArray(actual) && Array.isArray(shown)) {
    return actual.map((it, i) => asShown(it, shown[i]));
  }
  if (typeof actual !== "object" || actual === null) return actual;
  const members = (shown ?? {}) as Readonly<Record<string, unknown>>;
  return Object.fromEntries(
    Object.entries(actual).map(([name, it]) => [name, asShown(it, members[name])]),
  );
}

test("there are commands to run", () => {
  expect(runs.length).toBeGreaterThan(7);
});

test.each(runs)("docs/http.md:$line answers what the page says", async ({ script, answer }) => {
  const env = { ...process.env, FOLDLOG_API_URL: bank.url };
  const patient = script
    .replaceAll(/(\/commands\/[A-Z]\w+)"/g, '$1?waitMs=30000"')
    .replaceAll('token=$TOKEN"', 'token=$TOKEN&waitMs=30000"');
  const shown: unknown = JSON.parse(answer);
  const run = async () => {
    const { stdout } = await promisify(execFile)("bash", ["-euo", "pipefail", "-c", patient], {
      env,
    });
    return asShown(JSON.parse(stdout), shown);
  };
  const isRead = !script.includes(" -d ");
  if (isRead) {
    // It has no token, and the view follows at a small distance. If it never comes, the difference is shown below.
    const isThere = async () => isDeepStrictEqual(await run(), shown);
    await until("the view to have come so far", isThere).catch(() => undefined);
  }
  expect(await run()).toEqual(shown);
});

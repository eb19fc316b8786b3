import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../engine/clock.ts";
import { settings } from "../engine/config.ts";
import type { Reply } from "../engine/generated.ts";
import { MemoryLog } from "../engine/testing/memory-log.ts";
import { MemoryStoreFiles } from "../engine/testing/memory-store.ts";
import { type ExpectedAccount, parseExpected } from "../ops/audit/expected.ts";
import { settingsHelp } from "../ops/stack/settings.ts";
import { readCommandLine } from "../ops/verbs/command-lines.ts";
import { account } from "../processors/aggregates/account.ts";
import type { AccountCommand, AccountState } from "../schemas/generated.ts";
import { bankCodec, bankTopics, createTopics, processPartition, seen } from "./bank.ts";
import {
  declares,
  functionNamed,
  hasTest,
  isFile,
  mentionsIn,
  type Page,
  readPage,
} from "./docs/markdown.ts";
import { until } from "./until.ts";

/** The documentation says what is: whatever it names is there, and what it shows is what there is. */

const root = fileURLToPath(new URL("..", import.meta.url));
const read = (file: string) => readFileSync(join(root, file), "utf8");
const pageOf = (file: string): Page => ({ file, text: read(file) });

const ignored = (file: string) => /(^|\/)(node_modules|dist|\.\w+)($|\/)/.test(file);
const pages = globSync("{*.md,docs/**/*.md,**/README.md}", { cwd: root, exclude: ignored })
  .filter((file) => file !== "CHANGELOG.md") // History: it may name what is gone.
  .map(pageOf);

/** The file that a page names: beside itself, or from the root. */
function found(page: Page, name: string): string | null {
  const candidates = [normalize(join(dirname(page.file), name)), name];
  return candidates.find((file) => existsSync(join(root, file))) ?? null;
}

describe.each(pages.map((page) => [page.file, page] as const))("%s", (_, page) => {
  const { blocks, fences } = readPage(page);
  const at = (line: number, what: string) => `${page.file}:${line}: ${what}`;

  test("names only files that are there, and functions of the file named before them", () => {
    const wrong: string[] = [];
    for (const { line, text } of blocks) {
      let source: string | null = null;
      for (const { kind, text: said } of mentionsIn(text)) {
        if (kind === "quote") continue;
        if (said.includes("/Name.")) continue; // Whatever the reader will call it.
        if (isFile(said) && said.includes("/")) {
          source = found(page, said);
          if (source === null) wrong.push(at(line, `there is no ${said}`));
        } else if (isFile(said)) source = found(page, said) ?? source;
        for (const name of functionNamed(said) ?? []) {
          if (source === null) wrong.push(at(line, `${said} stands without its file`));
          else if (!declares(read(source), name)) wrong.push(at(line, `${source} has no ${name}`));
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  test("shows code as it stands in the file that it is from", () => {
    const flush = (text: string) => text.replaceAll(/^ +/gm, "");
    for (const { line, from, text } of fences) {
      if (from === null) continue;
      expect(flush(read(from)), at(line, `is not in ${from}`)).toContain(flush(text));
    }
  });

  test("names only scripts, verbs and settings that there are", () => {
    const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
    const verbs = [...read("ops/cli.ts").matchAll(/name: "(\w+)"/g)].map(([, name]) => name);
    const known = `${settings.map(({ name }) => name).join(" ")} ${settingsHelp()} FOLDLOG_METRICS_URLS FOLDLOG_API_URL`;
    const said = [...blocks, ...fences].map(({ line, text }) => ({ line, text }));
    const wrong = said.flatMap(({ line, text }) => [
      ...[...text.matchAll(/npm (?:run (?:-s |--silent )?([\w:]+)|(start|test)\b)/g)]
        .map(([, script, short]) => script ?? short ?? "")
        .filter((script) => scripts[script] === undefined)
        .map((script) => at(line, `there is no script ${script}`)),
      ...[...text.matchAll(/npm run -s foldlog -- ([a-z]+)/g)]
        .filter(([, verb]) => !verbs.includes(verb))
        .map(([, verb]) => at(line, `there is no verb ${verb ?? ""}`)),
      ...[...text.matchAll(/\bFOLDLOG_[A-Z_]+[A-Z]/g)]
        .filter(([name]) => !known.includes(name))
        .map(([name]) => at(line, `there is no setting ${name}`)),
    ]);
    expect(wrong).toEqual([]);
  });
});

test("docs/guarantees.md names only tests that there are, for each of G1 to G12", () => {
  const page = pageOf("docs/guarantees.md");
  const wrong: string[] = [];
  const proofs = new Map<string, number>();
  let promise = "";
  for (const { line, text } of readPage(page).blocks) {
    promise = /^## (G\d+)/.exec(text)?.[1] ?? promise;
    let source: string | null = null;
    for (const { kind, text: said } of mentionsIn(text)) {
      if (kind === "code") {
        if (isFile(said)) source = /^(test|.*\.test\.ts$)/.test(said) ? found(page, said) : null;
        continue;
      }
      if (source === null) continue; // Words in quotes that name no test.
      proofs.set(promise, (proofs.get(promise) ?? 0) + 1);
      const names = said.split(" › ");
      const missing = names.filter((name) => !hasTest(read(source as string), name));
      wrong.push(...missing.map((name) => `${page.file}:${line}: ${String(source)}: no "${name}"`));
    }
  }
  expect(wrong).toEqual([]);
  expect([...proofs.keys()]).toEqual(Array.from({ length: 12 }, (_, i) => `G${i + 1}`));
});

test("README.md has each guarantee of docs/guarantees.md, with its words", () => {
  const promises = [...read("docs/guarantees.md").matchAll(/^## (G\d+) (.*)$/gm)];
  expect(promises).toHaveLength(12);
  for (const [, id = "", promise = ""] of promises) {
    expect(read("README.md")).toMatch(
      new RegExp(`^\\| \\[${id}\\]\\(.*\\) +\\| ${promise} *\\|`, "m"),
    );
  }
});

describe("the sample bank", () => {
  const lines = read("examples/bank/sample.ndjson").trimEnd().split("\n");
  const expected = parseExpected(read("examples/bank/sample.expected.csv"));
  const topics = bankTopics("sample", 1);

  let replies: readonly Reply[];
  let states: ReadonlyMap<string, AccountState>;

  beforeAll(async () => {
    const log = new MemoryLog();
    await createTopics(log, topics);
    const codec = await bankCodec(topics, systemClock);
    const records = lines.map((line, i) => {
      const read = readCommandLine(
        { aggregates: [topics], codec },
        { number: i + 1, bytes: Buffer.from(line) },
      );
      if (read.kind === "refused") throw new Error(`line ${i + 1}: ${read.problems.join("; ")}`);
      return read.outgoing.record;
    });
    await (await log.openProducer()).send(records);
    const { open: openStore } = new MemoryStoreFiles();
    const running = processPartition({ log, topics, codec, clock: systemClock, openStore }, 0);
    const end = BigInt(records.length);
    await until("the sample to be answered", () => running.position() >= end, { everyMs: 1 });
    await running.stop();

    const of = (name: string) => log.committed({ topic: name, partition: 0 });
    replies = seen(codec, topics.replies, of(topics.replies.name)).map(
      ({ data }) => data as unknown as Reply,
    );
    states = folded(lines.map((line) => JSON.parse(line) as Line));
  });

  type Line = Pick<AccountCommand, "type"> & { commandId: string; accountId: string };

  /** By nobody but the decider: each command id once. */
  function folded(commands: readonly Line[]) {
    const folds = new Map<string, AccountState>();
    const handled = new Set<string>();
    for (const { type, ...fields } of commands) {
      if (handled.has(fields.commandId)) continue;
      handled.add(fields.commandId);
      const before = folds.get(fields.accountId) ?? account.initialState;
      const data = { reference: null, ...fields };
      const decision = account.decide({ type, data } as unknown as AccountCommand, before);
      if (decision.kind === "rejected") continue;
      folds.set(
        fields.accountId,
        decision.events.reduce((state, event) => account.evolve(state, event), before),
      );
    }
    return folds;
  }

  test("comes out as its expected file says, account by account", () => {
    const found = new Map<string, ExpectedAccount>();
    for (const [accountId, { balanceCents }] of states) {
      const own = replies.filter((it) => it.aggregateId === accountId && !it.duplicate);
      const version = Math.max(...own.map((it) => it.version ?? 0));
      const rejected = own.filter(({ outcome }) => outcome === "rejected").length;
      found.set(accountId, { balanceCents, version, rejected });
    }
    expect(found).toEqual(expected);
  });

  test("is answered as its README says: accepted, rejected for three reasons, and once as before", () => {
    const reasons = replies.flatMap(({ reason }) => reason ?? []);
    expect(reasons.toSorted()).toEqual(["BalanceNotZero", "InsufficientFunds", "NotOpen"]);
    expect(replies.filter(({ outcome }) => outcome === "accepted")).toHaveLength(37);
    expect(replies.filter(({ duplicate }) => duplicate)).toHaveLength(1);
    expect(replies).toHaveLength(40);
  });
});

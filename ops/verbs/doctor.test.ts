import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { once } from "node:events";
import { describe, expect, test } from "vitest";
import { FatalError, TransientError } from "../../engine/errors.ts";
import { SetupError } from "../stack/setup-error.ts";
import { type Check, codeOf, runChecks } from "./doctor-checks.ts";
import {
  type Finding,
  findingOf,
  good,
  ifTold,
  tell,
  unknown,
  warning,
  wrong,
} from "./doctor-finding.ts";
import { doctorLines } from "./doctor-lines.ts";
import { readerFindings } from "./doctor-list.ts";
import { settingsFindings } from "./doctor-settings.ts";
import { askGateway, gatewayFindings, healthFindings } from "./doctor-workers.ts";

const trouble = { found: "it is off", why: "nothing works", mend: "put it on" };

describe("checks", () => {
  const never = new Promise<readonly Finding[]>(() => undefined);
  const check = (id: string, find: Check["find"]): Check => ({ id, find });

  test("run side by side, and their findings come in the order of the checks", async () => {
    let open = (): void => undefined;
    const opened = new Promise<void>((resolve) => (open = resolve));
    const first = check("first", async () => {
      await opened;
      return [good("first", "")];
    });
    const second = check("second", async () => {
      open();
      return [good("second", "")];
    });
    const seen: (readonly string[])[] = [];
    const run = await runChecks([first, second], 5_000, (left) => seen.push(left));
    expect(run.findings.map(({ id }) => id)).toEqual(["first", "second"]);
    expect(run.isLeftWaiting).toBe(false);
    expect(seen.at(-1)).toEqual([]);
  });

  test("that get no answer are given up, and hold up nobody else", async () => {
    const checks = [check("late", () => never), check("quick", async () => [good("quick", "")])];
    const run = await runChecks(checks, 20, () => undefined);
    expect(run.findings).toMatchObject([
      { id: "late", status: "unknown", found: "no answer within 0.02 s" },
      { id: "quick", status: "ok" },
    ]);
    expect(run.isLeftWaiting).toBe(true);
  });

  test("that throw are a finding, each of its kind", async () => {
    const failing = check("it", () => Promise.reject(new TransientError("nobody answers")));
    const { findings } = await runChecks([failing], 5_000, () => undefined);
    expect(findings).toMatchObject([{ status: "unknown", found: "nobody answers" }]);
    expect(findingOf("it", new FatalError("UNAUTHORIZED", "no"))).toMatchObject({
      status: "wrong",
      found: "UNAUTHORIZED: no",
      mend: "ops/README.md, under UNAUTHORIZED",
    });
    const noJava = new SetupError("there is no Java", { next: "install one", evidence: ["in x"] });
    expect(findingOf("it", noJava)).toMatchObject({
      status: "wrong",
      found: "there is no Java in x",
      mend: "install one",
    });
    expect(findingOf("it", new TypeError("x is not y"))).toMatchObject({
      status: "wrong",
      mend: expect.stringContaining("report it") as unknown,
    });
  });

  test("that need what is away cannot be told, and those that need what refuses are to look at", async () => {
    const away = await tell(() => Promise.reject(new TransientError("away")));
    const refuses = await tell(() => Promise.reject(new FatalError("UNAUTHORIZED", "no")));
    const judge = () => [good("it", "")];
    expect(ifTold("it", away, judge)).toMatchObject([{ status: "unknown" }]);
    expect(ifTold("it", refuses, judge)).toMatchObject([{ status: "warn" }]);
    expect(ifTold("it", await tell(async () => 1), judge)).toMatchObject([{ status: "ok" }]);
  });
});

test("the exit code puts settings first, then who is away, then what is wrong", () => {
  const setting = wrong("settings/KAFKA_BROKERS", trouble);
  const all = [
    good("a", ""),
    warning("b", trouble),
    wrong("c", trouble),
    unknown("d", ""),
    setting,
  ];
  expect([1, 2, 3, 4, 5].map((n) => codeOf(all.slice(0, n)))).toEqual([0, 0, 1, 5, 2]);
});

test("settings are named one by one, with what is wrong and an example", () => {
  const problems = ["KAFKA_BROKERS is not set: where", 'FOLDLOG_ERA is "x", which is not a whole'];
  expect(settingsFindings(problems)).toMatchObject([
    { id: "settings/KAFKA_BROKERS", found: "is not set: where" },
    { id: "settings/FOLDLOG_ERA", status: "wrong" },
  ]);
  expect(settingsFindings([])).toMatchObject([{ id: "settings", status: "ok" }]);
});

test("findings are a line each, and two more where something is to be done", () => {
  const lines = doctorLines([good("node", "Node 24"), wrong("topics/a.b", trouble)]);
  expect(lines).toEqual([
    "✓ node    Node 24",
    "✗ topics  a.b: it is off",
    "          why  nothing works",
    "          mend put it on",
    "",
    "2 findings: 1 wrong, 1 good.",
  ]);
  expect(doctorLines([good("node", "")]).at(-1)).toMatch(/^Nothing is wrong/);
  const [hostile] = doctorLines([good("node", "a\u001b[31m\nb")]);
  expect(hostile).toBe("✓ node  a\\u{1b}[31m\\nb");
});

describe("the reader", () => {
  test("that gets in and sees the checkpoints is good", () => {
    const facts = { checkpoints: [] };
    expect(readerFindings({ state: "answers", facts })).toMatchObject([{ status: "ok" }]);
  });

  test("that is refused, or finds nothing prepared, says what mends it", () => {
    const refused = readerFindings({ state: "refuses", problem: "wrong password" });
    expect(refused).toMatchObject([
      {
        status: "wrong",
        mend: expect.stringContaining("FOLDLOG_ROLE_PASSWORD_FOLDLOG_READER") as unknown,
      },
    ]);
    const bare = readerFindings({ state: "answers", facts: { checkpoints: null } });
    expect(bare).toMatchObject([
      { status: "wrong", mend: expect.stringMatching(/migrate$/) as unknown },
    ]);
    expect(readerFindings({ state: "away", problem: "" })).toMatchObject([{ status: "unknown" }]);
  });
});

describe("the workers' processes", () => {
  test("are asked only where their addresses are set", () => {
    expect(healthFindings([])).toMatchObject([
      { status: "warn", found: "FOLDLOG_METRICS_URLS is not set" },
    ]);
  });

  test("are good when ready, else each reason is a finding", () => {
    const ready = { url: "http://h:1/metrics", workers: ["account"], problems: [] };
    expect(healthFindings([ready])).toMatchObject([{ status: "ok", found: "1 process ready" }]);
    const problems = ["account t/1: opening", "waiting: the broker"];
    expect(healthFindings([{ ...ready, problems }])).toMatchObject([
      { id: "workers/h:1", status: "wrong", found: "account t/1: opening" },
      { id: "workers/h:1/2", status: "wrong", found: "waiting: the broker" },
    ]);
    const nowhere = { url: "nowhere", workers: [], problems: ["nowhere is not an address"] };
    expect(healthFindings([nowhere])).toMatchObject([{ status: "wrong" }]);
  });
});

describe("the gateway", () => {
  const url = "http://h:1";

  test("is asked at its address, and says what it cannot do", async () => {
    const server = createServer((_, response) => {
      response.end("ready\nwaiting: the registry: away\n");
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const { signal } = new AbortController();
    const asked = await askGateway({ FOLDLOG_API_URL: `http://127.0.0.1:${port}` }, signal);
    server.closeAllConnections();
    server.close();
    await once(server, "close");
    expect(asked).toMatchObject({ status: 200, lines: ["waiting: the registry: away"] });
    expect(gatewayFindings(asked)).toMatchObject([{ status: "warn" }]);

    const gone = await askGateway({ FOLDLOG_API_URL: `http://127.0.0.1:${port}` }, signal);
    expect(gatewayFindings(gone)).toMatchObject([
      { status: "wrong", found: expect.stringContaining("ECONNREFUSED") as unknown },
    ]);
    expect(await askGateway({}, signal)).toBeNull();
  });

  test("is good when it is ready, and wrong when it is not", () => {
    expect(gatewayFindings({ url, status: 200, lines: [] })).toMatchObject([{ status: "ok" }]);
    expect(gatewayFindings({ url, status: 503, lines: ["waiting: x"] })).toMatchObject([
      { status: "wrong", found: "http://h:1 is not ready (503): waiting: x" },
    ]);
    expect(gatewayFindings(null)).toMatchObject([{ status: "warn" }]);
  });
});

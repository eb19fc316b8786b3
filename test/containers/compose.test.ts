import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { freePorts } from "../../ops/stack/ports.ts";
import { until } from "../until.ts";
import { guardLabel, type Guardian, root, runName } from "./docker.ts";

/**
 * docker-compose.yml as a user meets it, from `up` to `down -v`, as a project of this test's own. The
 * commands are those of the file that BANK_DATA names, else the sample's.
 */

const project = `foldlog-test-${runName}`;
const label = `com.docker.compose.project=${project}`;
const data = resolve(process.env["BANK_DATA"] ?? join(root, "examples/bank/sample.ndjson"));
const expected = data.replace(/\.ndjson$/, ".expected.csv");
const minutes = 60_000;

const portNames = ["API", "KAFKA", "REGISTRY", "POSTGRES", "PROMETHEUS"] as const;
let ports: Readonly<Record<string, string>>;
let guardian: Guardian;

interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Running {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
}

const none = inject("whyNoContainers") !== null;
describe.skipIf(none)("docker compose", { timeout: 10 * minutes }, () => {
  beforeAll(async () => {
    const free = await freePorts(portNames.length);
    ports = Object.fromEntries(portNames.map((name, i) => [name, String(free[i])]));
    guardian = guardLabel(label);
  });
  afterAll(async () => {
    await guardian.release();
    await docker(["image", "rm", "--force", `foldlog:${project}`]);
  }, 3 * minutes);

  test("up --build --wait brings everything to work", { timeout: 15 * minutes }, async () => {
    await bringUp("--build");
    // Whoever has no answer within seconds is said to be away, and all of them have only just come up.
    let said = "";
    const isWell = async () => {
      const { stdout, stderr } = await foldlog(["status"]);
      said = stdout + stderr;
      return stdout.includes("Nothing is wrong");
    };
    await until("status to find nothing wrong", isWell, { deadlineMs: minutes }).catch(() => null);
    expect(said).toMatch(/Nothing is wrong/);
  });

  test("no container of ours may write to its root file system, or is root", async () => {
    const { stdout: ids } = await compose(["ps", "--quiet", "account", "balances", "gateway"]);
    const format = "{{.HostConfig.ReadonlyRootfs}} {{.Config.User}} {{.HostConfig.CapDrop}}";
    const { stdout } = await docker(["inspect", "--format", format, ...lines(ids)]);
    expect(lines(stdout)).toEqual(Array(3).fill("true node [ALL]"));
  });

  test("a worker killed in the middle costs no command", async () => {
    const commands = readFileSync(data, "utf8").trimEnd().split("\n");
    const half = Math.floor(commands.length / 2);
    const produce = start(["run", "--rm", "-T", "foldlog", "produce", "-", "--timeout", "5m"]);
    produce.child.stdin?.write(`${commands.slice(0, half).join("\n")}\n`);
    await until("the worker to answer", async () => (await answered()) > 0, {
      deadlineMs: 3 * minutes,
    });
    await kill("account");
    produce.child.stdin?.end(`${commands.slice(half).join("\n")}\n`);
    await bringUp();

    const { code, stdout, stderr } = await produce.finished;
    expect({ code, stderr }, stdout).toMatchObject({ code: 0 });
    expect(stdout).toMatch(/unanswered +0\n/);
  });

  test("the audit passes, and finds what an independent fold finds", async () => {
    const { code, stdout, stderr } = existsSync(expected)
      ? await compose([
          ...["run", "--rm", "-T", "--volume", `${expected}:/expected.csv:ro`],
          ...["foldlog", "audit", "--expected", "/expected.csv"],
        ])
      : await foldlog(["audit"]);
    expect(code, `${stdout}\n${stderr}`).toBe(0);
    expect(stdout).toMatch(/Every invariant held/);
  });

  test("the gateway takes a command where it is published", async () => {
    const response = await fetch(`http://127.0.0.1:${ports["API"] ?? ""}/commands/OpenAccount`, {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": project },
      body: JSON.stringify({ accountId: project, owner: "Ada" }),
    });
    expect(await response.json()).toMatchObject({ outcome: "accepted", version: 1 });
  });

  test("Prometheus scrapes every worker, and can answer every query of the dashboard", async () => {
    const dashboard = readFileSync(join(root, "ops/grafana/pipeline.json"), "utf8");
    const queries = [...dashboard.matchAll(/"expr": ("(?:[^"\\]|\\.)*")/g)].map(
      ([, text = ""]) => JSON.parse(text) as string,
    );
    expect(queries.length).toBeGreaterThan(20);
    for (const expr of queries) {
      await ask(expr.replaceAll("$__rate_interval", "1m")); // Throws where it is not understood.
    }
    const patience = { deadlineMs: 2 * minutes };
    const scraped = async () => {
      const up = await ask('up{job="foldlog"}');
      return up.every(({ value }) => value[1] === "1") && up.length >= 6 && up;
    };
    const found = await until("every worker to be scraped", scraped, patience);
    expect(found.map(({ metric }) => metric["service"])).toContain("account");
    // A counter is not there before its first count, and is seen at the next scrape.
    const counted = async () => {
      const [sum] = await ask("sum(foldlog_commands_total)");
      return Number(sum?.value[1]) > 0;
    };
    await until("a command to be counted", counted, patience);
  });

  test("down -v leaves no container, network or volume", async () => {
    const filter = ["--quiet", "--filter", `label=${label}`];
    const { stdout: ids } = await docker(["ps", "--all", ...filter]);
    const mounts = `{{range .Mounts}}{{if eq .Type "volume"}}{{println .Name}}{{end}}{{end}}`;
    const { stdout: used } = await docker(["inspect", "--format", mounts, ...lines(ids)]);
    expect(new Set(lines(used)).size).toBeGreaterThan(5);

    // It gives up where the engine takes too long over one of them: what is left is removed by the next.
    const down = ["down", "--volumes"];
    const first = await compose(down);
    const { code, stderr } = first.code === 0 ? first : await compose(down);
    expect(code, `${first.stderr}\n${stderr}`).toBe(0);
    for (const kind of [
      ["ps", "--all"],
      ["network", "ls"],
      ["volume", "ls"],
    ]) {
      expect((await docker([...kind, ...filter])).stdout, kind[0]).toBe("");
    }
    const left = lines((await docker(["volume", "ls", "--quiet"])).stdout);
    expect(left.filter((name) => lines(used).includes(name))).toEqual([]);
  });
});

/** Until everything is healthy, or with what is known of why not. */
async function bringUp(...flags: readonly string[]): Promise<void> {
  const { code, stderr } = await compose(["up", "--wait", ...flags]);
  if (code === 0) return;
  const { stdout: states } = await compose(["ps", "--all"]);
  const { stdout: logs } = await compose(["logs", "--tail", "15"]);
  throw new Error(`docker compose up ended with ${String(code)}\n${stderr}\n${states}\n${logs}`);
}

/** Until it is dead: where the machine is busy the engine gives up waiting for that, and it dies all the same. */
async function kill(service: string): Promise<void> {
  const { stderr } = await compose(["kill", service]);
  const isDead = async () => {
    const { code, stdout } = await compose(["ps", "--quiet", "--status", "running", service]);
    return code === 0 && stdout.trim() === "";
  };
  await until(`${service} to die (${stderr.trim()})`, isDead, { deadlineMs: minutes });
}

/** How many commands the worker has answered, from its own metrics: its port is not published. */
async function answered(): Promise<number> {
  const program = `fetch("http://127.0.0.1:9464/metrics").then(async (it) => console.log(await it.text()))`;
  const { stdout } = await compose(["exec", "-T", "account", "node", "-e", program]);
  const counts = lines(stdout).filter((line) => line.startsWith("foldlog_commands_total{"));
  return counts.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}

interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}

async function ask(query: string): Promise<readonly Sample[]> {
  const url = `http://127.0.0.1:${ports["PROMETHEUS"] ?? ""}/api/v1/query`;
  const response = await fetch(`${url}?${new URLSearchParams({ query }).toString()}`);
  const answer = (await response.json()) as { data?: { result: Sample[] }; error?: string };
  if (answer.data === undefined) throw new Error(`${query}: ${answer.error ?? "no answer"}`);
  return answer.data.result;
}

function foldlog(args: readonly string[]): Promise<Finished> {
  return compose(["run", "--rm", "-T", "foldlog", ...args]);
}

function compose(args: readonly string[]): Promise<Finished> {
  const running = start(args);
  running.child.stdin?.end();
  return running.finished;
}

function start(args: readonly string[]): Running {
  return startDocker(["compose", "--project-name", project, ...args]);
}

function docker(args: readonly string[]): Promise<Finished> {
  return startDocker(args).finished;
}

function startDocker(args: readonly string[]): Running {
  const named = Object.entries(ports).map(
    ([name, port]) => [`FOLDLOG_${name}_PORT`, port] as const,
  );
  const child = spawn("docker", args, {
    cwd: root,
    env: { ...process.env, ...Object.fromEntries(named) },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  child.stdin.on("error", () => undefined); // It ended without reading all: its exit code tells.
  const finished = once(child, "close").then(([code]) => ({
    code: code as number | null,
    stdout,
    stderr,
  }));
  return { child, finished };
}

function lines(text: string): readonly string[] {
  return text.split("\n").filter((line) => line !== "");
}

import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { until } from "../../test/until.ts";
import { type Child, plainEnvironment, startChild } from "./child.ts";
import type { Folder } from "./folder.ts";
import { isRunning, processWith } from "./process-id.ts";
import {
  endRunning,
  graceOf,
  killRunning,
  recordRunning,
  runningIn,
  type Stage,
} from "./running.ts";
import { scratchFolder } from "./testing/scratch.ts";

/** A process that says "up", then "asked" at SIGTERM, and then ends or stays. */
async function start(
  folder: Folder,
  options: { name: string; stage: Stage; atStop: "ends" | "stays" },
): Promise<Child> {
  const { name, stage, atStop } = options;
  const script = `
    process.on("SIGTERM", () => {
      console.log("asked " + process.hrtime.bigint());
      if (${JSON.stringify(atStop)} === "ends") process.exit(0);
    });
    setInterval(() => undefined, 1000);
    console.log("up");`;
  const spec = { name, stage, command: process.execPath, args: ["-e", script], cwd: folder.dir };
  const child = await startChild(folder, { ...spec, env: plainEnvironment(process.env) });
  await until(`${name} is up`, () => child.output().includes("up"), { everyMs: 10 });
  return child;
}

const askedAt = (child: Child) => BigInt(/asked (\d+)/.exec(child.output())?.[1] ?? 0);

test("a stage may take all the time but a second for each stage that stops after it", () => {
  expect(graceOf("worker", 14_000)).toBe(11_000);
  expect(graceOf("postgres", 14_000)).toBe(14_000);
  expect(graceOf("registry", 1_500)).toBe(0);
});

test("workers are asked to stop before the broker, and the broker before Postgres", async () => {
  const folder = scratchFolder();
  const postgres = await start(folder, { name: "p", stage: "postgres", atStop: "ends" });
  const worker = await start(folder, { name: "w", stage: "worker", atStop: "ends" });
  const kafka = await start(folder, { name: "k", stage: "kafka", atStop: "ends" });

  const ended = await endRunning(folder.run, 10_000);

  expect(ended.map(({ name, how }) => `${name} ${how}`)).toEqual([
    "w stopped",
    "k stopped",
    "p stopped",
  ]);
  expect(askedAt(worker)).toBeLessThan(askedAt(kafka));
  expect(askedAt(kafka)).toBeLessThan(askedAt(postgres));
  expect(runningIn(folder.run)).toEqual([]);
});

test("a process that does not stop in its time is killed, and said to have been", async () => {
  const folder = scratchFolder();
  const child = await start(folder, { name: "stuck", stage: "postgres", atStop: "stays" });

  const ended = await endRunning(folder.run, 200);

  expect(ended).toEqual([{ name: "stuck", how: "killed" }]);
  expect((await child.ended).how).toBe("signal SIGKILL");
});

test("what a child started is killed with it", async () => {
  const folder = scratchFolder();
  const script = "sleep 60 & echo $! > grandchild; wait";
  const spec = {
    name: "shell",
    stage: "worker",
    command: "/bin/sh",
    args: ["-c", script],
  } as const;
  await startChild(folder, { ...spec, cwd: folder.dir, env: plainEnvironment(process.env) });
  const file = join(folder.dir, "grandchild");
  const written = () => existsSync(file) && /^\d+/.test(readFileSync(file, "utf8"));
  await until("the grandchild", written, { everyMs: 10 });
  const pid = readFileSync(file, "utf8");
  const grandchild = processWith(Number(pid));
  if (grandchild === undefined) throw new Error("The grandchild never ran");

  killRunning(folder.run);

  await until("the grandchild has ended", () => !isRunning(grandchild));
});

test("a stranger that was given the pid of one of ours is left alone", async () => {
  const folder = scratchFolder();
  const stranger = spawn("sleep", ["60"], { detached: true });
  onTestFinished(() => {
    stranger.kill("SIGKILL");
  });
  const pid = stranger.pid ?? 0;
  recordRunning(folder.run, {
    pid,
    startedAt: "before this one",
    name: "gone",
    stage: "worker",
    stopSignal: "SIGTERM",
  });

  expect(await endRunning(folder.run, 1_000)).toEqual([]);
  expect(killRunning(folder.run)).toEqual([]);
  expect(processWith(pid)).toBeDefined();
});

test("a child that has ended is forgotten", async () => {
  const folder = scratchFolder();
  const child = await start(folder, { name: "brief", stage: "worker", atStop: "ends" });
  process.kill(child.pid, "SIGKILL");
  await child.ended;
  expect(existsSync(join(folder.run, "brief.pid"))).toBe(false);
});

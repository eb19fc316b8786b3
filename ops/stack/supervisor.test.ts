import { expect, test } from "vitest";
import { until } from "../../test/until.ts";
import { plainEnvironment } from "./child.ts";
import { endRunning, runningIn } from "./running.ts";
import { keepRunning } from "./supervisor.ts";
import { scratchFolder } from "./testing/scratch.ts";

test("a worker that ends is reported with its last lines, started again, and not after the stop", async () => {
  const folder = scratchFolder();
  const reports: string[] = [];
  let starts = 0;
  const next = () => {
    starts += 1;
    const script = starts === 1 ? "echo 'cannot go on'; exit 3" : "echo up; sleep 60";
    const args = ["-c", script];
    const env = plainEnvironment(process.env);
    return { name: "w", stage: "worker", command: "/bin/sh", args, env, cwd: folder.dir } as const;
  };
  const stop = new AbortController();
  const supervision = {
    next,
    isExpected: () => false,
    report: (text: string) => reports.push(text),
  };
  const kept = keepRunning(folder, supervision, stop.signal);

  await until("the second start", () => starts === 2 && runningIn(folder.run).length === 1);
  expect(reports).toEqual([expect.stringMatching(/^w ended \(exit code 3\)(.|\n)*cannot go on/)]);

  stop.abort();
  await endRunning(folder.run, 5_000);
  await kept;
  expect(starts).toBe(2);
  expect(reports).toHaveLength(1);
});

test("an end that was expected is not reported", async () => {
  const folder = scratchFolder();
  const reports: string[] = [];
  let starts = 0;
  const next = () => {
    starts += 1;
    const env = plainEnvironment(process.env);
    return {
      name: "w",
      stage: "worker",
      command: "/bin/sh",
      args: ["-c", "true"],
      env,
      cwd: "/",
    } as const;
  };
  const stop = new AbortController();
  const isExpected = ({ code }: { code: number | null }) => code === 0;
  const kept = keepRunning(
    folder,
    { next, isExpected, report: (text) => reports.push(text) },
    stop.signal,
  );

  await until("the second start", () => starts === 2);
  stop.abort();
  await kept;
  expect(reports).toEqual([]);
});

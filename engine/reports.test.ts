import { pino } from "pino";
import { expect, test } from "vitest";
import { TransientError } from "./errors.ts";
import { Health } from "./health.ts";
import { openMetrics } from "./metrics.ts";
import { commandHooks, projectionHooks } from "./reports.ts";

const metrics = openMetrics("1.2.3");
const health = new Health("account", metrics);
const reports = { metrics, logger: pino({ enabled: false }), health };
const of = { topic: "bank.account.commands", partition: 3 };
const events = { topic: "bank.account.events", partition: 3 };

/** The series of a metric, as Prometheus reads them. */
const series = async (name: string) =>
  (await metrics.text()).split("\n").filter((line) => line.startsWith(`${name}{`));

test("a restore that goes on is no longer said to be held up", async () => {
  const hooks = commandHooks("account", of, reports);
  const ready = { fromStore: true, tookMs: 1, resume: 0n, suspicion: null };
  const stuck = () => series("foldlog_restore_stuck_seconds");
  hooks.stuck(events, 21_000);
  expect(await stuck()).toEqual([
    'foldlog_restore_stuck_seconds{worker="account",topic="bank.account.events",partition="3"} 21',
  ]);
  hooks.ready(ready);
  expect(await stuck()).toEqual([]);

  hooks.stuck(events, 21_000);
  hooks.stuck({ ...events, topic: "bank.account.replies" }, 22_000);
  expect(await stuck()).toHaveLength(1);
  hooks.opening("transient", new TransientError("away"));
  expect(await stuck()).toEqual([]);
  hooks.stuck(events, 23_000);
  hooks.stuck(events, 0);
  expect(await stuck()).toEqual([]);
});

test("a partition that has gone elsewhere leaves no gauge behind", async () => {
  const commands = commandHooks("account", of, reports);
  commands.lag(5);
  commands.stuck(events, 21_000);
  const view = projectionHooks("balances", events, reports);
  const lag = { topicPartition: events, end: 9n, lagEvents: 2, lagSeconds: 1, events: 1, rows: 1 };
  view.progress({ position: 7n, ...lag });
  const of3 = async () =>
    (await metrics.text()).split("\n").filter((line) => line.includes('partition="3"'));
  expect((await of3()).length).toBeGreaterThan(4);
  commands.gone();
  view.gone();
  expect(await of3()).toEqual([]);
});

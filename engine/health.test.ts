import { afterEach, expect, test } from "vitest";
import { Health, type HealthServer, serveHealth } from "./health.ts";
import { metricTable, openMetrics } from "./metrics.ts";

const metrics = openMetrics("1.2.3");
let server: HealthServer | null = null;
afterEach(async () => {
  await server?.close();
});

async function get(path: string, init: RequestInit = {}) {
  const response = await fetch(`http://127.0.0.1:${server?.port ?? 0}${path}`, init);
  return { status: response.status, text: await response.text() };
}
const serve = async (...workers: Health[]) => {
  server = await serveHealth({ host: "127.0.0.1", port: 0 }, workers, metrics);
};

test("a worker is ready when the group has spoken and every partition is at work", async () => {
  const health = new Health("account", metrics);
  await serve(health);
  expect(await get("/readyz")).toMatchObject({ status: 503 });
  health.assigned(["t/0", "t/1"]);
  health.set("t/0", "ready");
  expect((await get("/readyz")).text).toContain("account t/1: opening");
  health.set("t/1", "ready");
  expect(await get("/readyz")).toEqual({ status: 200, text: "ready\n" });
  health.set("t/1", "stopped", "at t/1/7: no such row");
  expect((await get("/readyz")).text).toContain("account t/1: stopped, at t/1/7: no such row");
  health.assigned(["t/0"]);
  expect((await get("/readyz")).status).toBe(200);
});

test("a worker that was assigned nothing is ready: it stands by", async () => {
  const health = new Health("account", metrics);
  await serve(health);
  health.assigned([]);
  expect((await get("/readyz")).status).toBe(200);
});

test("one worker that is not ready keeps the process from being ready", async () => {
  const [one, two] = [new Health("one", metrics), new Health("two", metrics)];
  await serve(one, two);
  one.assigned([]);
  expect((await get("/readyz")).text).toContain("two: the group has not assigned");
});

test("a state is told to be new only where it is, and not for a partition that went elsewhere", () => {
  const health = new Health("account", metrics);
  health.assigned(["t/0"]);
  expect(health.set("t/0", "ready")).toBe(true);
  expect(health.set("t/0", "ready")).toBe(false);
  expect(health.set("t/0", "retrying", "because")).toBe(true);
  expect(health.set("t/9", "ready")).toBe(false);
});

test("it lives and tells its metrics whatever the partitions do; other pages and methods are refused", async () => {
  await serve(new Health("account", metrics));
  expect(await get("/livez")).toEqual({ status: 200, text: "alive\n" });
  const { text } = await get("/metrics?x=1");
  expect(text).toContain('foldlog_build_info{version="1.2.3"} 1');
  for (const name of Object.keys(metricTable)) expect(text).toContain(`# HELP ${name} `);
  expect((await get("/")).status).toBe(404);
  expect((await get("/livez", { method: "POST" })).status).toBe(405);
  expect(await get("/livez", { method: "HEAD" })).toEqual({ status: 200, text: "" });
});

test("metrics are named as Prometheus wants them", () => {
  for (const [name, { type, help, labels }] of Object.entries(metricTable)) {
    expect(name).toMatch(/^foldlog_[a-z_]+$/);
    expect(type === "counter").toBe(name.endsWith("_total"));
    if (type === "histogram") expect(name).toMatch(/_(seconds|bytes|commands)$/);
    expect(help.length).toBeGreaterThan(10);
    for (const label of labels) expect(label).not.toMatch(/id$/);
  }
});

import { readFileSync } from "node:fs";
import { collectDefaultMetrics, Registry } from "prom-client";
import { expect, test } from "vitest";
import { metricTable } from "../../engine/metrics.ts";

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: {
    readonly x: number;
    readonly y: number;
    readonly w: number;
    readonly h: number;
  };
  readonly datasource?: { readonly uid: string };
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

const { panels } = JSON.parse(
  readFileSync(new URL("pipeline.json", import.meta.url), "utf8"),
) as Readonly<{ panels: readonly Panel[] }>;
const graphs = panels.filter(({ type }) => type !== "row");
const queries = graphs.flatMap(({ title, targets = [] }) =>
  targets.map((target) => ({ title, ...target })),
);

/** Name → labels, of everything that a scrape of a worker can bring; `null` where any label goes. */
const known = new Map<string, readonly string[] | null>([["up", null]]);
for (const [name, { type, labels }] of Object.entries(metricTable)) {
  const suffixes = type === "histogram" ? ["_bucket", "_sum", "_count"] : [""];
  for (const suffix of suffixes) known.set(`${name}${suffix}`, labels);
}
const registry = new Registry();
collectDefaultMetrics({ register: registry });
for (const { name } of registry.getMetricsAsArray()) known.set(name, null);

function metricsIn(expr: string): readonly string[] {
  return [...expr.matchAll(/\b((?:foldlog|process|nodejs)_\w+|up)\b/g)].map(([name]) => name);
}

test("every query of the dashboard asks for metrics that a worker has", () => {
  for (const { title, expr } of queries) {
    const names = metricsIn(expr);
    expect(names, `${title}: ${expr}`).not.toEqual([]);
    for (const name of names) expect([...known.keys()], `${title}: ${expr}`).toContain(name);
  }
});

test("every label that a query groups by or shows is one of its metric's", () => {
  for (const { title, expr, legendFormat } of queries) {
    const grouped = [...expr.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, list = ""]) =>
      list.split(",").map((label) => label.trim()),
    );
    const shown = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label);
    for (const label of shown) expect(grouped, `${title}: ${legendFormat}`).toContain(label);
    for (const name of metricsIn(expr)) {
      const labels = known.get(name);
      if (labels === null || labels === undefined) continue;
      const all = name.endsWith("_bucket") ? [...labels, "le"] : labels;
      for (const label of grouped) expect(all, `${title}: ${expr}`).toContain(label);
    }
  }
});

test("no panel lies over another, and each has a number of its own", () => {
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  const taken = new Map<string, string>();
  for (const { title, gridPos } of panels) {
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        expect(taken.get(`${x}/${y}`), `${title} lies over another`).toBeUndefined();
        taken.set(`${x}/${y}`, title);
      }
    }
    expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
  }
});

test("every panel asks the datasource that Grafana is provisioned with", () => {
  const provisioned = readFileSync(
    new URL("provisioning/datasources/prometheus.yml", import.meta.url),
    "utf8",
  );
  for (const { datasource } of graphs) {
    expect(provisioned).toContain(`uid: ${datasource?.uid ?? "none"}\n`);
  }
});

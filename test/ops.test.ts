import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { metricTable } from "../engine/metrics.ts";

/** What operators are told (`ops/README.md`, the metrics) against what the engine says. */

const root = join(import.meta.dirname, "..");
const engineFiles = sourceFiles("engine");

describe("the runbook", () => {
  const headings = headingsOf(readFileSync(join(root, "ops/README.md"), "utf8"));
  const errors = readFileSync(join(root, "engine/errors.ts"), "utf8");
  const unions = [...errors.matchAll(/export type (\w+Code) =([^;]+);/g)];
  const codes = new Set(
    unions.flatMap(([, , members = ""]) => [...members.matchAll(/"(\w+)"/g)].map(([, it]) => it)),
  );

  test("has a heading for each error code, and none for a code that is gone", () => {
    expect(unions.map(([, name]) => name)).toEqual(["PoisonCode", "FailureCode", "FatalCode"]);
    const isCode = (title: string) => /^[A-Z][A-Z0-9_]+$/.test(title);
    expect([...headings.keys()].filter(isCode).sort()).toEqual([...codes].sort());
  });

  test("has a heading for each way in which a worker is not ready, and none for another", () => {
    const health = readFileSync(join(root, "engine/health.ts"), "utf8");
    const states = literalsIn(/type PartitionState =([^;]+);/.exec(health)?.[1] ?? "");
    const ofHealth = [...health.matchAll(/: (the group has not [^`"]+)`/g)].map(([, it]) => it);
    const waits = engineFiles.flatMap(({ text }) => waitsIn(text));
    const ways = [...states.filter((it) => it !== "ready"), ...ofHealth, ...waits];
    const isState = (title: string) => /^[a-z]/.test(title);
    expect([...headings.keys()].filter(isState).sort()).toEqual([...new Set(ways)].sort());
  });

  test("says under each heading what it means, why it matters, where to look and what mends it", () => {
    const parts = ["Means", "Matters", "Look", "Mend"];
    for (const [title, text] of headings) {
      const found = [...text.matchAll(/^- \*\*(\w+)\*\* \S/gm)].map(([, part]) => part);
      expect(found, title).toEqual(parts);
    }
  });

  test("names metrics that there are", () => {
    const text = readFileSync(join(root, "ops/README.md"), "utf8");
    for (const [name] of text.matchAll(/\bfoldlog_\w+/g)) expect(metricTable).toHaveProperty(name);
  });
});

describe("the table of metrics", () => {
  test("has no metric that the engine never gives a value", () => {
    // Build information is set where the registry is made, beside the table.
    const given = new Set(["foldlog_build_info"]);
    for (const { text } of engineFiles) {
      for (const [, name = ""] of text.matchAll(/\.(?:add|set|max|observe)\(\s*"(foldlog_\w+)"/g)) {
        given.add(name);
      }
    }
    expect([...given].sort()).toEqual(Object.keys(metricTable).sort());
  });

  test("has every metric that the code reads or shows", () => {
    const files = [...engineFiles, ...sourceFiles("ops"), ...sourceFiles("test")];
    const suffixes = /_(?:bucket|count|sum)$/; // What Prometheus makes of a histogram.
    const strangers = files.flatMap(({ file, text }) =>
      [...text.matchAll(/\bfoldlog_[a-z_]+\b/g)]
        .map(([name]) => name)
        .filter((name) => !ofPostgres.has(name))
        .filter((name) => !Object.hasOwn(metricTable, name))
        .filter((name) => !Object.hasOwn(metricTable, name.replace(suffixes, "")))
        .map((name) => `${file}: ${name}`),
    );
    expect(strangers).toEqual([]);
  });
});

/** Names of roles and functions of Postgres, which are in the same form. */
const ofPostgres = new Set(["foldlog_owner", "foldlog_reader", "foldlog_wait"]);

interface SourceFile {
  /** Relative to the repository. */
  readonly file: string;
  readonly text: string;
}

/** The TypeScript below a folder, without its tests. */
function sourceFiles(folder: string): readonly SourceFile[] {
  return globSync(`${folder}/**/*.ts`, { cwd: root })
    .filter((file) => !file.endsWith(".test.ts"))
    .map((file) => ({ file, text: readFileSync(join(root, file), "utf8") }));
}

/** The third-level headings, without back-quotes, each with the text below it. */
function headingsOf(markdown: string): ReadonlyMap<string, string> {
  const sections = markdown.split(/^(?=#{1,3} )/m).filter((it) => it.startsWith("### "));
  const entries = sections.map((section): [string, string] => {
    const [title = "", ...text] = section.slice("### ".length).split("\n");
    return [title.replaceAll("`", ""), text.join("\n")];
  });
  const all = new Map(entries);
  expect(all.size, "each heading is there once").toBe(entries.length);
  return all;
}

function literalsIn(union: string): readonly string[] {
  return [...union.matchAll(/"([^"]+)"/g)].flatMap(([, it]) => it ?? []);
}

/** What this file waits for, as `/readyz` says it; what varies is an ellipsis. */
function waitsIn(text: string): readonly string[] {
  const names = [
    ...text.matchAll(/\bwaits\.set\(\s*["`]([^"`]+)["`]/g),
    ...text.matchAll(/\bpatiently\(\s*\w+,\s*["`]([^"`]+)["`]/g),
    ...text.matchAll(/\bprobe\(\s*["`]([^"`]+)["`]/g),
  ];
  return names.map(([, name = ""]) => `waiting: ${name.replaceAll(/\$\{[^}]*\}/g, "…")}`);
}

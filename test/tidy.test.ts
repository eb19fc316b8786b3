import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { describe, expect, test } from "vitest";

/** The repository's own rules, over the files that git tracks. Each exception stands here with its reason. */

const root = join(import.meta.dirname, "..");
const tracked = execFileSync("git", ["ls-files", "-z"], { cwd: root, encoding: "utf8" })
  .split("\0")
  .filter((file) => file !== "" && existsSync(join(root, file)));
const textOf = new Map(tracked.map((file) => [file, readFileSync(join(root, file), "utf8")]));

const code = tracked.filter((file) => /\.(ts|mjs|js)$/.test(file));
/** What proves and does not run for a user. */
const isProof = (file: string) =>
  file.startsWith("test/") || file.endsWith(".test.ts") || file.includes("/testing/");
const shipped = code.filter((file) => !isProof(file));
const importsOf = new Map(code.map((file) => [file, importsIn(file)]));

/** Every file that breaks a rule, with what breaks it. */
function offences(
  files: readonly string[],
  breaks: (file: string) => readonly string[],
): readonly string[] {
  return files.flatMap((file) => breaks(file).map((what) => `${file}: ${what}`));
}

/** The paths of imported files, relative to the repository, and the names of packages as they are written. */
function importsIn(file: string): readonly string[] {
  const statements =
    /^(?:import|export)\b(?:[^"'`;]*?\bfrom)?\s+"([^"\n]+)"|\bimport\(\s*"([^"\n]+)"/gm;
  const found = [...(textOf.get(file) ?? "").matchAll(statements)].map(
    ([, statically, dynamically]) => statically ?? dynamically ?? "",
  );
  return [...new Set(found)].map((path) =>
    path.startsWith(".") ? join(dirname(file), path).replaceAll("\\", "/") : path,
  );
}

const packageOf = (name: string) =>
  name
    .split("/")
    .slice(0, name.startsWith("@") ? 2 : 1)
    .join("/");
const isPackage = (name: string) => !tracked.includes(name) && !/^(node:|[a-z]+\/)/.test(name);

describe("who imports whom", () => {
  test("one file imports each client, so that it can be replaced there", () => {
    const homes: Readonly<Record<string, string>> = {
      kafkajs: "engine/kafka/kafkajs.ts",
      avsc: "engine/avro/avro-type.ts",
      "@kafkajs/confluent-schema-registry": "engine/avro/registry.ts",
      pg: "engine/postgres/postgres.ts",
      "prom-client": "engine/metrics.ts",
      zod: "engine/config.ts",
      "node:sqlite": "engine/commands/sqlite-store.ts",
    };
    const ours = shipped.filter((file) => !file.startsWith("examples/"));
    for (const [client, home] of Object.entries(homes)) {
      const users = ours.filter((file) =>
        (importsOf.get(file) ?? []).some((it) => it === client || it.startsWith(`${client}/`)),
      );
      expect(users, client).toEqual([home]);
    }
  });

  test("a package that is imported is a dependency of its kind", () => {
    const { dependencies, devDependencies } = JSON.parse(textOf.get("package.json") ?? "") as {
      readonly dependencies: Readonly<Record<string, string>>;
      readonly devDependencies: Readonly<Record<string, string>>;
    };
    const packagesIn = (file: string) =>
      (importsOf.get(file) ?? []).filter(
        (it) => !it.startsWith("node:") && !tracked.includes(it) && !existsSync(join(root, it)),
      );
    const ours = (file: string) => !file.startsWith("examples/"); // They have a package.json of their own.
    const runs = shipped.filter((file) => /^(engine|processors|topics|ops)\//.test(file));
    const known = (all: object) => (name: string) => !Object.hasOwn(all, packageOf(name));
    expect(offences(runs, (file) => packagesIn(file).filter(known(dependencies)))).toEqual([]);
    const all = { ...dependencies, ...devDependencies };
    expect(offences(code.filter(ours), (file) => packagesIn(file).filter(known(all)))).toEqual([]);
  });

  test("engine/ imports nothing outside itself", () => {
    const engine = code.filter((file) => file.startsWith("engine/") && !file.endsWith(".test.ts"));
    const outside = (path: string) => tracked.includes(path) && !path.startsWith("engine/");
    expect(offences(engine, (file) => (importsOf.get(file) ?? []).filter(outside))).toEqual([]);
  });

  test("the loops know the port, and no adapter and no package", () => {
    const isLoop = (file: string) =>
      /^engine\/((commands|projections)\/|(assignment|read-ahead|log|decider|projection)\.ts$)/.test(
        file,
      );
    const adapters =
      /^engine\/(kafka|postgres|gateway)\/|^engine\/avro\/(?!avro-json)|^engine\/commands\/sqlite-store|^engine\/(config|metrics|process|reports|worker)\.ts$/;
    // The store over SQLite is itself an adapter, of the port `store.ts`.
    const loops = shipped.filter(isLoop).filter((it) => !it.endsWith("/sqlite-store.ts"));
    expect(loops.length).toBeGreaterThan(15);
    const foreign = (path: string) =>
      adapters.test(path) || (isPackage(path) && !path.startsWith("node:"));
    expect(offences(loops, (file) => (importsOf.get(file) ?? []).filter(foreign))).toEqual([]);
  });

  test("the audit shares no code with the engine's Kafka adapter", () => {
    const audit = shipped.filter((file) => file.startsWith("ops/audit/"));
    expect(audit.length).toBeGreaterThan(10);
    const shared = (path: string) => /^engine\/kafka\/|^kafkajs/.test(path);
    expect(offences(audit, (file) => reachedFrom(file, "ops/audit/").filter(shared))).toEqual([]);
  });

  test("no files import each other in a circle, types included", () => {
    expect(circles()).toEqual([]);
  });
});

/** What a file imports, directly or by way of others in the same folder. */
function reachedFrom(file: string, folder: string): readonly string[] {
  const seen = new Set<string>();
  const go = (at: string) => {
    for (const path of importsOf.get(at) ?? []) {
      if (seen.has(path)) continue;
      seen.add(path);
      if (path.startsWith(folder)) go(path);
    }
  };
  go(file);
  return [...seen];
}

/** The circles of imports, each as its files in alphabetical order (Tarjan's strongly connected components). */
function circles(): readonly string[] {
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const path: string[] = [];
  const found: string[] = [];
  const visit = (file: string): number => {
    order.set(file, order.size);
    let low = order.size - 1;
    path.push(file);
    for (const next of importsOf.get(file) ?? []) {
      if (!importsOf.has(next)) continue;
      if (!order.has(next)) low = Math.min(low, visit(next));
      else if (path.includes(next)) low = Math.min(low, order.get(next) ?? low);
    }
    lowest.set(file, low);
    if (low === order.get(file)) {
      const circle = path.splice(path.indexOf(file));
      if (circle.length > 1) found.push(circle.sort().join(" "));
    }
    return low;
  };
  for (const file of importsOf.keys()) if (!order.has(file)) visit(file);
  return found.sort();
}

describe("what files may hold", () => {
  test("the environment is read where settings are read, and elsewhere for a reason", () => {
    const child = "a child process gets it";
    const reasons: Readonly<Record<string, string>> = {
      "bench/http.ts": "FOLDLOG_API_URL is where to send",
      "engine/process.ts": "hands it to loadConfig",
      "engine/run-workers.ts": "prints the settings in force",
      "ops/boot.mjs": "runs before anything is installed",
      "ops/check.ts": child,
      "ops/reset.ts": "hands it to folderSetting",
      "ops/start.ts": "hands it to loadSettings",
      "ops/compose/is-ready.ts": "a health check, which loads nothing else",
      "ops/compose/set-up.ts": child,
      "ops/stack/application.ts": child,
      "ops/stack/kafka.ts": child,
      "ops/stack/postgres.ts": child,
      "ops/stack/process-id.ts": child,
      "ops/stack/registry.ts": child,
      "ops/verbs/given-path.ts": "INIT_CWD: npm changes the folder that a path is relative to",
      "ops/verbs/progress.ts": "TERM: whether a bar can be drawn",
      "ops/verbs/run.ts": "workers read the environment themselves",
      "ops/verbs/settings.ts": "hands it to loadConfig",
      "ops/verbs/show.ts": "whether an address was set, or is a fallback",
    };
    const readers = shipped.filter((file) => /\bprocess\.env\b/.test(textOf.get(file) ?? ""));
    const own = readers.filter((file) => !file.startsWith("examples/"));
    expect(own.filter((file) => !Object.hasOwn(reasons, file))).toEqual([]);
    expect(Object.keys(reasons).filter((file) => !own.includes(file))).toEqual([]);
  });

  test("tests read the environment for a seed, and where they start processes", () => {
    const startsProcesses =
      /child_process|child\.ts|process-id\.ts|stack\/(folder|parts|kafka)\.ts/;
    const readers = code.filter(isProof).filter((file) => {
      const text = (textOf.get(file) ?? "").replaceAll(/process\.env\["SEEDS?"\]/g, "");
      return /\bprocess\.env\b/.test(text) && !startsProcesses.test(text);
    });
    expect(readers.filter((file) => file !== "test/tidy.test.ts")).toEqual([]);
  });

  test("no file is longer than 400 lines", () => {
    // A dashboard is in the form in which Grafana exports it.
    const generated = /(^|\/)(generated\.ts|package-lock\.json)$|^ops\/grafana\/.*\.json$/;
    const due = [
      // Longer than they should be, and not to grow: a test file is split by what it claims.
      ["engine/avro/avro-codec.test.ts", 403],
      ["engine/gateway/commands.test.ts", 474],
      ["test/commands.test.ts", 550],
      ["test/log-contract.ts", 421],
    ] as const;
    const written = tracked.filter((file) => !generated.test(file) && !isProse(file));
    const long = offences(written, (file) => {
      const lines = (textOf.get(file) ?? "").split("\n").length - 1;
      const most = due.find(([known]) => known === file)?.[1] ?? 400;
      return lines > most ? [`${lines} lines`] : [];
    });
    expect(long).toEqual([]);
  });

  test("no file is named for what it is to its author", () => {
    const vague = new Set(["util", "helper", "common", "manager", "service", "misc", "shared"]);
    const words = (file: string) => basename(file).toLowerCase().split(/[-._]/);
    const isVague = (word: string) => vague.has(word.replace(/s$/, ""));
    expect(offences(tracked, (file) => words(file).filter(isVague))).toEqual([]);
  });

  test("nothing names a folder of one machine", () => {
    // An image has folders of its own.
    const files = tracked.filter(
      (file) => !/(^|\/)(Dockerfile|docker-compose[^/]*|\.dockerignore)$/.test(file),
    );
    const paths = /(?<![\w.*}])\/(?:work|root|tmp)\/[\w.-]*/g;
    expect(offences(files, (file) => matches(file, paths))).toEqual([]);
  });

  test("the lock file names no registry's host", () => {
    expect(textOf.get("package-lock.json")).not.toContain('"resolved"');
    expect(textOf.get(".npmrc")).toContain("omit-lockfile-registry-resolved=true");
  });

  test("no test is left out, but on a condition", () => {
    const left = /\b(?:test|it|describe|bench)(?:\.\w+)*\.(?:only|skip|todo|fails)\b/g;
    expect(offences(code.filter(isProof), (file) => matches(file, left))).toEqual([]);
  });

  test("no test sleeps", () => {
    const reasons: Readonly<Record<string, string>> = {
      "test/until.ts": "looks again at a condition, with a deadline",
      "test/chaos/processes/proxy.ts": "holds requests for as long as a plan says",
      "test/broker/stock/timers.ts": "counts the timers of others",
    };
    // A `clock.sleep` is of a clock that jumps.
    const waits = /\bsetTimeout\b|\btimers\/promises\b|\bsystemClock\s*\.\s*sleep\b/g;
    const files = code.filter(isProof).filter((file) => !Object.hasOwn(reasons, file));
    const own = files.filter((file) => file !== "test/tidy.test.ts");
    expect(offences(own, (file) => matches(file, waits))).toEqual([]);
  });
});

/** Read by people from where they are led to, not from the top. */
function isProse(file: string): boolean {
  return file.endsWith(".md") || file === "LICENSE";
}

function matches(file: string, pattern: RegExp): readonly string[] {
  return (textOf.get(file) ?? "").match(pattern) ?? [];
}

describe("pages", () => {
  const pages = tracked.filter((file) => file.endsWith(".md"));

  test("a link leads to a file that is tracked, and to a heading that is there", () => {
    const folders = new Set(tracked.flatMap((file) => [...parents(file)]));
    const dead = offences(pages, (page) =>
      linksIn(page).filter((link) => {
        const [path = "", anchor] = decodeURI(link).split("#");
        const file = path === "" ? page : join(dirname(page), path).replace(/\/$/, "");
        if (!textOf.has(file)) return !folders.has(file);
        return anchor !== undefined && !anchorsOf(file).has(anchor);
      }),
    );
    expect(dead).toEqual([]);
  });
});

function* parents(file: string): Generator<string> {
  for (let at = dirname(file); at !== "."; at = dirname(at)) yield at;
}

/** The relative links of a page, those in code left out. */
function linksIn(page: string): readonly string[] {
  const links = [...proseOf(page).matchAll(/\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)/g)];
  return links.map(([, link = ""]) => link).filter((link) => !/^[a-z][a-z+.-]*:/i.test(link));
}

/** The anchors that GitHub gives the headings of a page; of others, the numbers of lines. */
function anchorsOf(file: string): ReadonlySet<string> {
  if (!file.endsWith(".md")) {
    const lines = (textOf.get(file) ?? "").split("\n");
    return new Set(lines.map((_, i) => `L${i + 1}`));
  }
  const headings = [...proseOf(file, "with code spans").matchAll(/^#{1,6} (.+)$/gm)];
  const anchors = new Set<string>();
  for (const [, title = ""] of headings) {
    const text = title.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase();
    const slug = text
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
      .trim()
      .replaceAll(/\s/g, "-");
    let anchor = slug;
    for (let i = 1; anchors.has(anchor); i++) anchor = `${slug}-${i}`;
    anchors.add(anchor);
  }
  return anchors;
}

function proseOf(page: string, spans: "with code spans" | "without" = "without"): string {
  const text = (textOf.get(page) ?? "").replaceAll(/^( *)(```|~~~)[^\n]*\n[\s\S]*?^ *\2 *$/gm, "");
  return spans === "without" ? text.replaceAll(/`[^`\n]*`/g, "") : text;
}

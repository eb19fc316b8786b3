import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { writeSchemaIds } from "../../engine/avro/schema-ids.ts";
import { type CheckRow, registerAll } from "../../engine/schemas/register.ts";
import { type MemoryRegistry, memoryRegistry } from "../../engine/testing/memory-registry.ts";
import { catalog } from "../../topics/catalog.ts";
import { askSchemas, idFindings, schemaFindings } from "./doctor-registry.ts";

const { signal } = new AbortController();
let dir: string;
let idsFile: string;
let registry: MemoryRegistry;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "foldlog-doctor-"));
  idsFile = join(dir, "ids.json");
  registry = memoryRegistry();
  await registerAll({ registry, topics: catalog, idsFile }, signal);
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

const ask = (file: string | null = idsFile) =>
  askSchemas({ registry, topics: catalog, idsFile: file }, signal);

describe("the ids of the registry", () => {
  test("that mean what was recorded are good", async () => {
    const { rows, ids } = await ask();
    expect(schemaFindings(rows)).toMatchObject([{ id: "schemas", status: "ok" }]);
    expect(idFindings(ids)).toMatchObject([{ id: "schema-ids", status: "ok" }]);
  });

  test("of which one is gone are wrong, and what is registered is told all the same", async () => {
    registry.forget(1);
    const { rows, ids } = await ask();
    expect(rows).toHaveLength((await ask(null)).rows.length);
    expect(idFindings(ids)).toMatchObject([
      {
        status: "wrong",
        found: expect.stringMatching(/schema id 1 is gone/) as unknown,
        mend: expect.stringMatching(/SCHEMA_REGISTRY_URL.*backup/) as unknown,
      },
    ]);
  });

  test("that nobody recorded are to look at, and schemas register records them", async () => {
    writeSchemaIds(idsFile, new Map());
    const { ids } = await ask();
    expect(idFindings(ids)).toMatchObject([
      { status: "warn", mend: expect.stringMatching(/schemas register$/) as unknown },
    ]);
    await registerAll({ registry, topics: catalog, idsFile }, signal);
    expect(idFindings((await ask()).ids)).toMatchObject([{ status: "ok" }]);
  });

  test("cannot be watched without a file", async () => {
    const [finding] = idFindings((await ask(null)).ids);
    expect(finding).toMatchObject({ status: "warn", found: "SCHEMA_IDS_FILE is not set" });
  });
});

describe("a schema", () => {
  const row = (more: Partial<CheckRow>): CheckRow => ({
    subject: "s",
    version: 2,
    verdict: "is registered",
    level: "FULL_TRANSITIVE",
    levelNow: "FULL_TRANSITIVE",
    reasons: [],
    ...more,
  });

  test("that is not registered is wrong, and schemas register mends it", () => {
    expect(schemaFindings([row({ verdict: "would register" })])).toMatchObject([
      {
        id: "schemas/s",
        status: "wrong",
        found: "version 2 is not registered",
        mend: "npm run -s foldlog -- schemas register",
      },
    ]);
  });

  test("that would be refused says why, and is not to be registered", () => {
    const [finding] = schemaFindings([
      row({ verdict: "would be refused", reasons: ["int → long"] }),
    ]);
    expect(finding?.found).toContain("int → long");
    expect(finding?.mend).not.toContain("schemas register");
  });

  test("whose subject has another level, or none, is named once, however many its versions", () => {
    const rows = [row({ version: 1, levelNow: "NONE" }), row({ levelNow: "NONE" })];
    expect(schemaFindings(rows)).toMatchObject([
      {
        id: "schemas/s/level",
        found: expect.stringMatching(/is NONE, should be FULL_TRANSITIVE/) as unknown,
      },
    ]);
    expect(schemaFindings([row({ levelNow: null })])[0]?.found).toMatch(/the registry's own/);
  });
});

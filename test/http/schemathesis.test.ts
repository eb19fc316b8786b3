import { spawn, spawnSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { expect, onTestFinished, test } from "vitest";
import { openWholeBank } from "./whole-bank.ts";

/** The gateway against its own OpenAPI document, by schemathesis (https://schemathesis.io, from PyPI). */

const program = "schemathesis";
const isInstalled = spawnSync(program, ["--version"], { timeout: 60_000 }).status === 0;

/** `SEED=…` repeats a run. */
const seed = Number(process.env["SEED"] ?? randomInt(2 ** 31));

/**
 * What no schema can tell from a good request is refused all the same: a token that nobody gave, two parameters
 * that exclude each other, a command id used before. And an address of a command is one of a status too, with
 * another method. Everything else that schemathesis knows is checked.
 */
const beyondSchemas = [
  "positive_data_acceptance",
  "unsupported_method",
  "allow_header_conformance",
];

test.skipIf(!isInstalled)(
  "no request makes the gateway fail, or answer otherwise than its OpenAPI document says",
  async () => {
    const bank = await openWholeBank();
    onTestFinished(() => bank.close());
    bank.startAccount();
    const { url } = bank;
    const { status, output } = await runSchemathesis(url);
    expect(status, `SEED=${seed}\n${output}`).toBe(0);
  },
  600_000,
);

async function runSchemathesis(url: string) {
  const args = [
    ...["run", `${url}/openapi.json`, "--seed", String(seed), "--max-examples", "15"],
    ...["--exclude-checks", beyondSchemas.join(","), "--phases", "examples,coverage,fuzzing"],
    ...["--generation-database", "none", "--request-timeout", "60", "--no-shrink", "--no-color"],
  ];
  const cwd = temporaryFolder();
  const child = spawn(program, args, { cwd, stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  const [output] = await Promise.all([text(child.stdout), once(child, "close")]);
  return { status: child.exitCode, output };
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "foldlog-schemathesis-"));
  onTestFinished(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

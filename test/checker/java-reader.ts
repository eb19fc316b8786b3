import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { silentChecklist } from "../../ops/stack/checklist.ts";
import { folderAt, openFolder } from "../../ops/stack/folder.ts";
import { findJava } from "../../ops/stack/java.ts";
import { ensureParts } from "../../ops/stack/parts.ts";
import { folderSetting } from "../../ops/stack/settings.ts";

/** A topic as Kafka's own Java client reads it: a second opinion on what is in a log. */

/** Keys, values and headers in base64. */
export interface JavaRecord {
  readonly offset: string;
  readonly timestamp: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: readonly (readonly [name: string, value: string | null])[];
}

export interface ReadByJava {
  readonly committed: readonly JavaRecord[];
  /** Those of open and aborted transactions among them. */
  readonly all: readonly JavaRecord[];
}

const program = fileURLToPath(new URL("Reader.java", import.meta.url));

/** Java without a compiler can run Kafka, but not a file of source. */
export function hasCompiler(): boolean {
  return existsSync(join(findJava(process.env).home, "bin", "javac"));
}

/** The records of partition 0. */
export async function readByJava(brokers: string, topic: string): Promise<ReadByJava> {
  const base = folderAt(folderSetting(process.env));
  const { signal } = new AbortController();
  const { java, kafka } = await ensureParts(openFolder(base.dir), {
    ...{ partsDir: base.parts, checklist: silentChecklist, signal, env: process.env },
  });
  const { stdout } = await promisify(execFile)(
    join(java.home, "bin", "java"),
    [
      ...["-Xmx256m", "-XX:TieredStopAtLevel=1", "-Dlog4j2.level=OFF"],
      ...["-Djava.net.preferIPv4Stack=true", "--class-path", join(kafka.jars, "*")],
      ...[program, brokers, topic],
    ],
    { maxBuffer: 256 * 1024 * 1024 },
  );
  const read: { committed: JavaRecord[]; all: JavaRecord[] } = { committed: [], all: [] };
  for (const line of stdout.split("\n")) {
    if (line === "") continue;
    const { isolation, ...record } = JSON.parse(line) as JavaRecord & { isolation: string };
    read[isolation === "read_committed" ? "committed" : "all"].push(record);
  }
  return read;
}

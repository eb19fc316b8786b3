import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { compareVersions, findJava, javasAmong, majorOf } from "./java.ts";
import { scratch } from "./testing/scratch.ts";

/** A folder with installations of these versions, which only say what they are. */
function installed(...versions: readonly string[]): { dir: string; homes: readonly string[] } {
  const dir = scratch();
  const homes = versions.map((version, i) => {
    const home = join(dir, `jdk-${i}`);
    mkdirSync(join(home, "bin"), { recursive: true });
    writeFileSync(join(home, "bin", "java"), "");
    writeFileSync(join(home, "release"), `IMPLEMENTOR="X"\nJAVA_VERSION="${version}"\n`);
    return home;
  });
  return { dir, homes };
}

test.each([
  ["25.0.3", 25],
  ["1.8.0_402", 8],
  ["26-ea", 26],
  ["21", 21],
])("the version %s is Java %i", (version, major) => {
  expect(majorOf(version)).toBe(major);
});

test("versions are compared number by number, not letter by letter", () => {
  const versions = ["9.0.4", "21.0.10", "21.0.9", "25", "21"];
  expect(versions.toSorted(compareVersions)).toEqual(["9.0.4", "21", "21.0.9", "21.0.10", "25"]);
});

test("the newest installation comes first, each once however often it is linked", () => {
  const { dir, homes } = installed("17.0.15", "25.0.3", "21.0.5");
  symlinkSync(join(dir, "jdk-1"), join(dir, "default"));
  const found = javasAmong([...homes, join(dir, "default"), join(dir, "absent")]);
  expect(found.map(({ version }) => version)).toEqual(["25.0.3", "21.0.5", "17.0.15"]);
});

test("JAVA_HOME is found, even where the java on the path is older", () => {
  const { homes } = installed("17.0.15", "99.0.1");
  const [older = "", newer = ""] = homes;
  const java = findJava({ JAVA_HOME: newer, PATH: join(older, "bin"), HOME: "" });
  expect(java).toEqual({ home: newer, version: "99.0.1" });
});

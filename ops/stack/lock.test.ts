import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { until } from "../../test/until.ts";
import type { Folder } from "./folder.ts";
import { lockHolder, takeLock } from "./lock.ts";
import { scratchFolder } from "./testing/scratch.ts";

/** Another process that takes the lock, says how that went, and stays. */
function taker(folder: Folder) {
  const file = (name: string) => fileURLToPath(new URL(name, import.meta.url));
  const script = `
    import { folderAt } from ${JSON.stringify(file("folder.ts"))};
    import { takeLock } from ${JSON.stringify(file("lock.ts"))};
    try { takeLock(folderAt(process.argv[1]), "a test"); console.log("taken"); }
    catch (error) { console.log("refused: " + error.message); }
    setInterval(() => undefined, 1000);`;
  const args = ["--input-type=module", "-e", script, folder.dir];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  let said = "";
  child.stdout.on("data", (data: Buffer) => (said += data.toString("utf8")));
  const word = () => (said === "" ? null : said.trim());
  return { child, says: () => until("a word of the other", word, { everyMs: 10 }) };
}

test("a folder that is in use is refused, with who uses it and how to stop that", async () => {
  const folder = scratchFolder();
  const { child, says } = taker(folder);
  expect(await says()).toBe("taken");
  const pid = String(child.pid);

  expect(() => takeLock(folder, "npm start")).toThrow(
    expect.objectContaining({
      message: expect.stringContaining(`in use by \`a test\` (pid ${pid}`) as string,
      next: expect.stringContaining(`kill ${pid}`) as string,
    }),
  );
});

test("a holder that was killed has let go", async () => {
  const folder = scratchFolder();
  const { child, says } = taker(folder);
  await says();
  child.kill("SIGKILL");
  await until("it has ended", () => lockHolder(folder) === undefined, { everyMs: 10 });

  const release = takeLock(folder, "npm start");
  expect(lockHolder(folder)).toMatchObject({ pid: process.pid, doing: "npm start" });
  release();
  expect(lockHolder(folder)).toBeUndefined();
});

test("of many that come at once after one that was killed, exactly one takes it", async () => {
  const folder = scratchFolder();
  const dead = { pid: process.pid, startedAt: "long ago", doing: "x", since: "then" };
  writeFileSync(folder.lock, JSON.stringify(dead));

  const takers = Array.from({ length: 8 }, () => taker(folder));
  const said = await Promise.all(takers.map(({ says }) => says()));

  expect(said.filter((word) => word === "taken")).toHaveLength(1);
});

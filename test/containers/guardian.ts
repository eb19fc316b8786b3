/**
 * `node guardian.ts LABEL`: waits for its standard input to close, which the system does for a process that
 * was killed too, then removes every container, volume and network with this label.
 */
import { spawnSync } from "node:child_process";
import { once } from "node:events";

const [label] = process.argv.slice(2);
if (label === undefined) throw new Error("Which label?");
process.stdin.resume(); // Nothing is ever sent.
await once(process.stdin, "end");

const filter = ["--quiet", "--filter", `label=${label}`];
remove(["ps", "--all", ...filter], ["rm", "--force", "--volumes"]);
remove(["volume", "ls", ...filter], ["volume", "rm", "--force"]);
remove(["network", "ls", ...filter], ["network", "rm"]);

function remove(list: readonly string[], verb: readonly string[]): void {
  const { stdout } = spawnSync("docker", list, { encoding: "utf8" });
  const ids = stdout.split("\n").filter((id) => id !== "");
  if (ids.length > 0) spawnSync("docker", [...verb, ...ids], { stdio: "ignore" });
}

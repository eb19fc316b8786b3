import { spawnSync } from "node:child_process";

/** What carries a label in the Docker engine. */

/** The lines that a listing command prints. */
export function listed(args: readonly string[]): string[] {
  const { stdout } = spawnSync("docker", args, { encoding: "utf8" });
  return stdout.split("\n").filter((line) => line !== "");
}

/** Removes every container, volume and network with this label (`key=value`). */
export function removeLabelled(label: string): void {
  const filter = ["--quiet", "--filter", `label=${label}`];
  remove(["ps", "--all", ...filter], ["rm", "--force", "--volumes"]);
  remove(["volume", "ls", ...filter], ["volume", "rm", "--force"]);
  remove(["network", "ls", ...filter], ["network", "rm"]);
}

function remove(list: readonly string[], verb: readonly string[]): void {
  const ids = listed(list);
  if (ids.length > 0) spawnSync("docker", [...verb, ...ids], { stdio: "ignore" });
}

/**
 * `node guardian.ts RUN`: outlives a run on processes, however that ends. It waits for its standard input to
 * close, which the system does for a process that was killed too, then removes what the run took.
 */
import { once } from "node:events";
import { removeLeftovers } from "./leftovers.ts";

const [run] = process.argv.slice(2);
if (run === undefined) throw new Error("Which run?");
process.stdin.resume(); // Nothing is ever sent.
await once(process.stdin, "end");
await removeLeftovers(run);

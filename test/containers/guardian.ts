/**
 * `node guardian.ts LABEL`: waits for its standard input to close, which the system does for a process that
 * was killed too, then removes every container, volume and network with this label.
 */
import { once } from "node:events";
import { removeLabelled } from "./labelled.ts";

const [label] = process.argv.slice(2);
if (label === undefined) throw new Error("Which label?");
process.stdin.resume(); // Nothing is ever sent.
await once(process.stdin, "end");
removeLabelled(label);

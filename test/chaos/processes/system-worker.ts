import { runFromCommandLine } from "../../../engine/process.ts";
import { upcasts } from "../../../schemas/upcasts.ts";
import { bankNamed } from "./system-bank.ts";

/** `node system-worker.ts bank account` runs workers of the bank in that namespace, until SIGTERM or SIGINT. */
const [namespace = "", ...names] = process.argv.slice(2);
const { workers } = bankNamed(namespace);
await runFromCommandLine({ workers, upcasts, names, program: "node system-worker.ts NAMESPACE" });

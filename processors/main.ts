import { runFromCommandLine } from "../engine/process.ts";
import { upcasts } from "../schemas/upcasts.ts";
import { workers } from "./workers.ts";

/** `node processors/main.ts account balances` runs the workers named, until SIGTERM or SIGINT. */
await runFromCommandLine({ workers, upcasts, program: "node processors/main.ts" });

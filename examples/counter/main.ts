import { prepareApplication, runFromCommandLine } from "foldlog";
import { workers } from "./workers.ts";

/** `npm start`: prepares topics, schemas and tables, then runs every worker until Ctrl-C. */
await runFromCommandLine({
  workers,
  names: Object.keys(workers),
  program: "npm start",
  // Beside the ports of the bank, should it run on this machine.
  env: { FOLDLOG_METRICS_PORT: "9480", ...process.env },
  before: (config) =>
    prepareApplication({ workers }, config, {
      onDone: (line) => {
        console.log(line);
      },
    }),
});

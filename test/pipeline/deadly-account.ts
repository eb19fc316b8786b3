import { runFromCommandLine } from "../../engine/process.ts";
import { commandProcessor } from "../../engine/worker.ts";
import { account } from "../../processors/aggregates/account.ts";
import { upcasts } from "../../schemas/upcasts.ts";
import { bankTopics } from "../bank.ts";

/**
 * The account worker with a fault: a command whose reference says so kills the process, as a fault in native code
 * would. Its topics are those of the namespace that the command line names.
 */

const [, , namespace = "", partitions = "1"] = process.argv;

const deadly = {
  ...account,
  decide: (...asked: Parameters<typeof account.decide>): ReturnType<typeof account.decide> => {
    const [{ data }] = asked;
    if ("reference" in data && data.reference === "kills") process.kill(process.pid, "SIGKILL");
    return account.decide(...asked);
  },
};

await runFromCommandLine({
  workers: { account: commandProcessor(deadly, bankTopics(namespace, Number(partitions))) },
  upcasts,
  program: "deadly-account",
  names: ["account"],
});

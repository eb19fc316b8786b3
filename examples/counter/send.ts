import { loadConfig, messageOf, sendCommands, uuidV7 } from "foldlog";
import { workers } from "./workers.ts";

/** `node send.ts Increment lamps 5`: sends one command and prints its answer. */
const [type = "", counterId = "", by] = process.argv.slice(2);
const commandId = uuidV7(Date.now(), Math.random);
const data = { commandId, counterId, ...(by !== undefined && { by: Number(by) }) };

try {
  const config = loadConfig(process.env, ["KAFKA_BROKERS", "SCHEMA_REGISTRY_URL"]);
  const [sent] = await sendCommands({ workers }, config, [{ type, data }]);
  switch (sent?.kind) {
    case "answered": {
      const { outcome, reason, version } = sent.reply;
      console.log([outcome, reason, `version ${version}`].filter((it) => it !== null).join(", "));
      process.exitCode = outcome === "accepted" ? 0 : 1;
      break;
    }
    case "refused":
      console.error(`Usage: node send.ts Increment|ClearCounter COUNTER [BY]`);
      console.error(sent.problems.join("\n"));
      process.exitCode = 2;
      break;
    case "unanswered":
    case undefined:
      console.error("No answer within 30 s. Does npm start run in another terminal?");
      process.exitCode = 1;
  }
} catch (error) {
  console.error(messageOf(error));
  process.exitCode = 1;
}

import { randomBytes } from "node:crypto";
import { inject } from "vitest";
import { openRegistry } from "../engine/avro/registry.ts";
import { registerAll } from "../engine/schemas/register.ts";
import { bankTopics, createTopics, topicsOf } from "./bank.ts";
import { bankOnLog, type BankOnLog } from "./bank-on-log.ts";

/**
 * A bank on topics of its own, on the stack of the test run: its topics are made, for one broker, and its schemas are
 * registered. `name` begins the namespace. The log is the caller's to close.
 */
export async function ownBank(name: string, partitions: number): Promise<BankOnLog> {
  const { signal } = new AbortController();
  const topics = bankTopics(`${name}_${randomBytes(5).toString("hex")}`, partitions);
  const [kafkaBrokers, registryUrl] = [inject("kafkaBrokers"), inject("registryUrl")];
  const registry = openRegistry({ url: registryUrl, requestTimeoutMs: 5_000 });
  await registerAll({ registry, topics: topicsOf(topics), idsFile: null }, signal);
  const bank = await bankOnLog({ kafkaBrokers, registryUrl, clientId: "test" }, topics, signal);
  await createTopics(bank.log, topics);
  return bank;
}

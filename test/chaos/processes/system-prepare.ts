import { openRegistry } from "../../../engine/avro/registry.ts";
import { createAdmin } from "../../../engine/kafka/kafkajs.ts";
import { kafkaLog } from "../../../engine/kafka/kafka-log.ts";
import { openDatabase } from "../../../engine/postgres/postgres.ts";
import { prepareDatabase } from "../../../engine/postgres/prepare-database.ts";
import { registerAll } from "../../../engine/schemas/register.ts";
import { apply, plan as planTopics } from "../../../engine/topic-plan.ts";
import type { Addresses } from "../system.ts";
import { type NamedBank, projectionsIn } from "./system-bank.ts";
import type { Services } from "./system-stack.ts";

/** What a bank finds ready when its workers start, and what is taken away behind it. */

export interface Prepared {
  readonly bank: NamedBank;
  readonly addresses: Addresses;
}

/** Topics, schemas, tables, roles. */
export async function prepareBank(
  { bank, addresses }: Prepared,
  services: Services,
  signal: AbortSignal,
): Promise<void> {
  const brokers = addresses.kafkaBrokers.split(",");
  const log = kafkaLog({ brokers, clientId: "chaos", tls: null, sasl: null });
  const replicas = services.brokers.length;
  try {
    await apply(log, await planTopics(log, bank.allTopics, replicas), replicas);
  } finally {
    await log.close();
  }
  const registry = openRegistry({ url: addresses.registryUrl, requestTimeoutMs: 5_000 });
  await registerAll({ registry, topics: bank.allTopics, idsFile: null }, signal);
  const { passwords } = services;
  await prepareDatabase({
    ownerUrl: addresses.databaseUrl,
    projections: projectionsIn(bank),
    passwords,
  });
}

/** The bank's own database. */
export function databaseOf({ namespace }: Pick<NamedBank, "namespace">): string {
  return namespace === "bank" ? "foldlog" : `foldlog_${namespace}`;
}

/** A database of a bank's own on the server, as the starter makes the first one. */
export async function createDatabase(services: Services, name: string): Promise<void> {
  await ask(services, `create database ${name} owner foldlog_owner`);
}

/** Once its workers are stopped: topics and database go, so that a long series of banks needs no more room than one. */
export async function dropBank({ bank, addresses }: Prepared, services: Services): Promise<void> {
  await ask(services, `drop database ${databaseOf(bank)} with (force)`);
  const brokers = addresses.kafkaBrokers.split(",");
  const admin = createAdmin({ brokers, clientId: "chaos", tls: null, sasl: null });
  await admin.connect();
  try {
    await admin.deleteTopics({ topics: bank.allTopics.map(({ name }) => name) });
  } finally {
    await admin.disconnect();
  }
}

async function ask(services: Services, sql: string): Promise<void> {
  const server = openDatabase({
    url: services.databaseUrl("postgres", "postgres"),
    applicationName: "foldlog chaos",
    maxConnections: 1,
    answerTimeoutMs: 60_000,
  });
  try {
    await server.query(sql);
  } finally {
    await server.close();
  }
}

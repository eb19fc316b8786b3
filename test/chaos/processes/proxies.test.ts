import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { type Database, openDatabase } from "../../../engine/postgres/postgres.ts";
import { kafkaLog } from "../../../engine/kafka/kafka-log.ts";
import type { Log, TopicPartition } from "../../../engine/log.ts";
import { processWith } from "../../../ops/stack/process-id.ts";
import { freePorts } from "../../../ops/stack/ports.ts";
import { newPartition, outRecord } from "../../broker/stock/log.ts";
import { readAll } from "../../log-reads.ts";
import { until } from "../../until.ts";
import { type Disturbance, type Proxies, startProxies } from "./proxies.ts";

/** The real broker and the real Postgres, behind the proxies of one worker. */

const { boundPort, advertisedPort } = inject("kafkaProxied");
const postgresUrl = new URL(inject("postgresUrl"));
const here = (port: number) => ({ host: "127.0.0.1", port });
const when = { id: "F4", at: 0, for: 0 };
const disturbance = (of: Partial<Disturbance>): Disturbance => ({
  ...when,
  ...{ does: "disturb", link: "kafka", how: "lose-answer", share: 1, ms: 0 },
  ...of,
});

let proxies: Proxies;
let log: Log;
let at: TopicPartition;
let database: Database;

beforeEach(async () => {
  const [port = 0] = await freePorts(1);
  proxies = await startProxies({
    passages: [
      { link: "kafka", listen: here(advertisedPort), to: here(boundPort) },
      { link: "postgres", listen: here(port), to: here(Number(postgresUrl.port)) },
    ],
    enter: [],
  });
  const brokers = [`127.0.0.1:${advertisedPort}`];
  log = kafkaLog({ brokers, clientId: "proxied", tls: null, sasl: null });
  at = await newPartition(log);
  const url = new URL(postgresUrl);
  url.port = String(port);
  database = openDatabase({
    ...{ url: url.href, applicationName: "test", maxConnections: 1, answerTimeoutMs: 5_000 },
  });
});
afterEach(async () => {
  await log.close();
  await database.close();
  await proxies.close();
});

async function committed(): Promise<readonly string[]> {
  const direct = kafkaLog({
    ...{ brokers: [inject("kafkaBrokers")], clientId: "direct", tls: null, sasl: null },
  });
  const values = (await readAll(direct, at)).map(({ value }) => String(value));
  await direct.close();
  return values;
}

const open = () => log.openWriter({ transactionalId: `proxied-${at.topic}` });
const transaction = (value: string) => ({ records: [outRecord(at, value)], consumed: null });

describe("A disturbance", () => {
  test("hits requests of its API alone, until it is settled", async () => {
    const lost = disturbance({ api: "EndTxn" });
    const writer = await open();
    await writer.transact(transaction("before"));
    await proxies.disturb(lost, 1);
    await expect(writer.transact(transaction("in doubt"))).rejects.toThrow();
    await proxies.settle(lost);
    const next = await open();
    await next.transact(transaction("after"));
    expect(await committed()).toEqual(["before", "in doubt", "after"]);
    const { EndTxn, Produce } = await proxies.counts();
    expect(EndTxn).toEqual({ seen: 3, hit: 1 });
    // Of a topic just made the leader may not have taken office yet: then it is asked again.
    expect(Produce?.seen).toBeGreaterThanOrEqual(3);
    expect(Produce?.hit).toBe(0);
  });

  test("of a COMMIT leaves it carried out, and nobody told", async () => {
    await database.query("create table if not exists proxied (id int primary key)");
    await database.query("delete from proxied");
    const lost = disturbance({ link: "postgres", statement: "COMMIT" });
    await proxies.disturb(lost, 1);
    const inserted = (id: number) =>
      database.transaction("read write", (session) =>
        session.query("insert into proxied values ($1)", [id]),
      );
    await expect(inserted(1)).rejects.toMatchObject({ reason: "indefinite" });
    await proxies.settle(lost);
    await inserted(2);
    const { rows } = await database.query("select id from proxied order by id");
    expect(rows).toEqual([{ id: 1 }, { id: 2 }]);
    await database.query("drop table proxied");
  });
});

describe("Whoever comes to a failpoint", () => {
  test("is killed before the request has passed", async () => {
    const writer = await open();
    await writer.transact(transaction("before"));
    let killed = false;
    const failing = await proxies.failAt("before:end-transaction", () => (killed = true));
    await expect(writer.transact(transaction("lost"))).rejects.toThrow();
    await failing.reached;
    expect(killed).toBe(true);
    await (await open()).transact(transaction("after"));
    expect(await committed()).toEqual(["before", "after"]);
  });

  test("is killed after it was carried out", async () => {
    const writer = await open();
    const failing = await proxies.failAt("after:end-transaction", () => undefined);
    await expect(writer.transact(transaction("done"))).rejects.toThrow();
    await failing.reached;
    expect(await committed()).toEqual(["done"]);
  });

  test("once, and not where that was called off", async () => {
    const failing = await proxies.failAt("after:produce", () => undefined);
    await failing.cancel();
    const writer = await open();
    await writer.transact(transaction("spared"));
    expect(await committed()).toEqual(["spared"]);
  });
});

test("Proxies end with the process that started them, also where it was killed", async () => {
  const program = fileURLToPath(new URL("testing/proxies-held.ts", import.meta.url));
  const run = fork(program, [], { execArgv: [], stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const [pid] = (await once(run, "message")) as [number];
  expect(processWith(pid)).toBeDefined();
  run.kill("SIGKILL");
  await until("the proxies to be gone", () => processWith(pid) === undefined);
});

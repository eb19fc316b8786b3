import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { subjectOf } from "../../engine/topic.ts";
import { kafkaLog } from "../../engine/kafka/kafka-log.ts";
import { openDatabase } from "../../engine/postgres/postgres.ts";
import { Connection, type KafkaSettings } from "../../ops/audit/connection.ts";
import { array, int32, string, struct } from "../../ops/audit/wire.ts";
import { freePorts } from "../../ops/stack/ports.ts";
import { addressOf } from "../../ops/verbs/doctor-broker.ts";
import type { Finding } from "../../ops/verbs/doctor-finding.ts";
import { topics } from "../../topics/catalog.ts";
import { stockClient } from "../broker/admin.ts";
import { until } from "../until.ts";
import { jsonLines, openOwnBank, type OwnBank, type Running } from "./own-bank.ts";
import { told } from "./operations.ts";

/** `foldlog doctor` on a bank that runs: one thing is broken, named, and mended by what doctor says. */

const { commands, events } = topics.account;

let bank: OwnBank;
let env: Readonly<Record<string, string>>;
let workers: Running;

beforeAll(async () => {
  bank = await openOwnBank();
  const [metrics = 0, api = 0] = await freePorts(2);
  env = {
    FOLDLOG_METRICS_PORT: String(metrics),
    FOLDLOG_METRICS_URLS: `http://127.0.0.1:${metrics}/metrics`,
    FOLDLOG_API_PORT: String(api),
    FOLDLOG_API_URL: `http://127.0.0.1:${api}`,
    FOLDLOG_STATE_DIR: `${bank.dir}/state`,
  };
}, 120_000);
afterAll(async () => {
  await bank.close();
}, 60_000);

function startWorkers(): Running {
  const all = ["account", "balances", "statements", "command_status", "event_index", "gateway"];
  return bank.start(["run", ...all], { env });
}

async function succeed(args: readonly string[], more: Readonly<Record<string, string>> = {}) {
  const { code, stderr } = await bank.foldlog(args, { env: more });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
}

async function doctor(more: Readonly<Record<string, string>> = {}) {
  const { code, stdout, stderr } = await bank.foldlog(["doctor", "--json"], {
    env: { ...env, ...more },
  });
  expect(stderr).toMatch(/^(Note: .*\n)?$/); // Of addresses, some from here and some from the file.
  const findings = jsonLines({ stdout }) as unknown as readonly Finding[];
  const bad = findings.filter(({ status, id }) => status !== "ok" && !id.startsWith("ports/"));
  return { code, findings, bad, of: (id: string) => findings.find((it) => it.id === id) };
}

/** On a busy machine an answer may come after a check's deadline: then what it would say is not known yet. */
function everythingTold() {
  return until("every check to have its answer", async () => {
    const told = await doctor();
    // What listens and does not answer is a finding of its own; here nothing does so for long.
    const isTold = ({ status, found }: Finding) =>
      status !== "unknown" && !found.includes("due to timeout");
    return told.findings.every(isTold) && told;
  });
}

/** What is wrong and nothing else, with the command that mends it. */
async function onlyWrong(id: string): Promise<Finding & { readonly mend: string }> {
  const { code, bad } = await everythingTold();
  expect(bad).toMatchObject([{ id, status: "wrong" }]);
  expect(code).toBe(1);
  const [finding] = bad;
  if (finding?.mend == null) throw new Error("nothing to do was named");
  return { ...finding, mend: finding.mend };
}

async function expectAllGood(): Promise<void> {
  const { code, bad } = await everythingTold();
  expect(bad).toEqual([]);
  expect(code).toBe(0);
}

/** `npm run -s foldlog -- …` as a person would type it, and agree to it. */
async function follow(mend: string, ...more: readonly string[]): Promise<void> {
  const [, args] = /^npm run -s foldlog -- (.+)$/.exec(mend) ?? [];
  if (args === undefined) throw new Error(`not a command of foldlog: ${mend}`);
  await succeed([...args.split(" "), ...more]);
}

const kafka = (): KafkaSettings => ({
  brokers: [bank.stack.brokers],
  clientId: "test",
  tls: null,
  sasl: null,
});

async function asSuperuser(sql: string): Promise<void> {
  const url = bank.stack.databaseUrl("postgres");
  const options = { applicationName: "test", maxConnections: 1, answerTimeoutMs: 10_000 };
  const database = openDatabase({ url, ...options });
  try {
    await database.query(sql);
  } finally {
    await database.close();
  }
}

test("names all that is missing on an empty stack, each with the verb that makes it", async () => {
  const { code, bad } = await everythingTold();
  const verbOf = (check: string) => {
    const mends = bad.filter(({ id }) => id.split("/")[0] === check).map(({ mend }) => mend ?? "");
    return [...new Set(mends.map((mend) => /foldlog -- (\w+ ?\w+|\w+)$/.exec(mend)?.[1]))];
  };
  expect(verbOf("topics")).toEqual(["topics apply"]);
  expect(verbOf("schemas")).toEqual(["schemas register"]);
  for (const check of ["migrations", "roles", "views", "reader"]) {
    expect(verbOf(check), check).toEqual(["migrate"]);
  }
  expect(code).toBe(1);
});

describe("on a bank that runs", () => {
  beforeAll(async () => {
    const password = new URL(bank.stack.databaseUrl("foldlog_reader")).password;
    await succeed(["topics", "apply", "--yes"]);
    await succeed(["schemas", "register"]);
    await succeed(["migrate"], { FOLDLOG_ROLE_PASSWORD_FOLDLOG_READER: password });
    workers = startWorkers();
  }, 60_000);

  test("finds nothing wrong once its workers are ready", { timeout: 90_000 }, async () => {
    const found = await until(
      "doctor to find all good",
      async () => {
        expect(workers.child.exitCode, workers.output().stderr).toBeNull();
        const now = await doctor();
        return now.code === 0 && now.bad.length === 0 && now;
      },
      { deadlineMs: 80_000 },
    );
    const checks = new Set(found.findings.map(({ id }) => id.split("/")[0]));
    expect([...checks]).toEqual([
      ...["settings", "node", "node-package", "kafkajs", "java", "maven", "ports", "disk"],
      ...["broker", "replicas", "topics", "transactions", "offsets", "members", "dead-letters"],
      ...["registry", "schemas", "schema-ids"],
      ...["postgres", "clock", "migrations", "roles", "rights", "views", "reader", "checkpoints"],
      ...["workers", "gateway"],
    ]);
    expect(found.of("broker")?.found).toMatch(/1 broker, Kafka 4\.0 or later/);
    const { stdout } = await told(bank, ["doctor"], { env });
    expect(stdout).toMatch(/^✓ topics +5 topics as the catalog says$/m);
    expect(stdout).not.toMatch(/password|postgres(ql)?:\/\//);
  });

  test("names a topic with another cleanup policy, and topics apply mends it", async () => {
    const log = kafkaLog(kafka());
    try {
      await log.alterTopic(events.name, { "cleanup.policy": "delete" });
    } finally {
      await log.close();
    }
    const { found, why, mend } = await onlyWrong(`topics/${events.name}`);
    expect(found).toBe("cleanup.policy is delete, should be compact");
    expect(why).toMatch(/TOPIC_DRIFT.*history/);
    await follow(mend, "--yes");
    await expectAllGood();
  });

  test("names a projector's role that was made mighty, and its statement mends it", async () => {
    await asSuperuser("alter role projector_balances superuser createdb");
    const { found, mend } = await onlyWrong("roles/projector_balances");
    expect(found).toBe("it is superuser and createdb");
    const [, statement = ""] = /^as a superuser, by psql: (.+)$/.exec(mend) ?? [];
    await asSuperuser(statement);
    await expectAllGood();
  });

  test("names a reader that may write, and its statement mends it", async () => {
    await asSuperuser("grant insert on projection_balances.balances_v1 to foldlog_reader");
    const { mend } = await onlyWrong("rights/foldlog_reader/projection_balances.balances_v1");
    const [, statement = ""] = /^as a superuser, by psql: (.+)$/.exec(mend) ?? [];
    await asSuperuser(statement);
    await expectAllGood();
  });

  test("names a view that is gone, and migrate mends it", async () => {
    await asSuperuser("drop view public.balances");
    const { found, mend } = await onlyWrong("views/balances");
    expect(found).toMatch(/no view .*balances/);
    await follow(mend);
    await expectAllGood();
  });

  test("names a subject that is missing in the registry, and schemas register mends it", async () => {
    const [record] = topics.account.replies.records;
    if (record === undefined) throw new Error("replies hold a record");
    const subject = subjectOf(topics.account.replies, record);
    const address = `${bank.stack.registryUrl}/subjects/${encodeURIComponent(subject)}`;
    expect((await fetch(address, { method: "DELETE" })).status).toBe(200);
    const { mend } = await onlyWrong(`schemas/${subject}`);
    await follow(mend);
    await expectAllGood();
  });

  test("names a transaction that hangs, and the partition that it holds back", async () => {
    const producer = stockClient({ brokers: [bank.stack.brokers] }).producer({
      transactionalId: "hangs",
      maxInFlightRequests: 1,
      idempotent: true,
    });
    await producer.connect();
    const transaction = await producer.transaction();
    const longAgo = String(Date.now() - 60_000); // This topic keeps the producer's time.
    const messages = [{ key: "k/1", value: "v", timestamp: longAgo, partition: 3 }];
    await transaction.send({ topic: events.name, messages });

    const { found, mend } = await onlyWrong(`transactions/${events.name}/3`);
    expect(found).toMatch(/1 offsets? from \d+ on .* without a write for ([6-9]\d|\d{3}) s/);
    expect(mend).toContain(`abort --topic ${events.name} --partition 3`);
    await transaction.abort();
    await producer.disconnect();
    await until("the abort to be seen", async () => (await doctor()).code === 0);
  });

  test("tells all that it can while the broker is away, and exits with 5", async () => {
    const { code, of } = await until("those who are there to have answered", async () => {
      const told = await doctor({ KAFKA_BROKERS: "127.0.0.1:1" });
      return ["schemas", "roles"].every((id) => told.of(id)?.status !== "unknown") && told;
    });
    expect(of("broker")).toMatchObject({
      status: "unknown",
      mend: expect.stringMatching(/npm start/) as unknown,
    });
    expect(of("topics")).toMatchObject({ status: "unknown" });
    expect(of("schemas")).toMatchObject({ status: "ok" });
    expect(of("roles")).toMatchObject({ status: "ok" });
    expect(code).toBe(5);
  });

  test("names every setting that is wrong at once, and exits with 2", async () => {
    const more = { KAFKA_BROKERS: "nonsense", SCHEMA_REGISTRY_URL: "ftp://x" };
    const { code, bad } = await doctor(more);
    expect(bad.map(({ id }) => id)).toEqual([
      "settings/KAFKA_BROKERS",
      "settings/SCHEMA_REGISTRY_URL",
    ]);
    expect(code).toBe(2);
  });
});

describe("once its workers have stopped", () => {
  beforeAll(async () => {
    workers.child.kill("SIGTERM");
    await workers.finished;
  });

  test("names a group that is ahead of the log, and the deletion of its offsets mends it", async () => {
    const group = "bank.account";
    const admin = stockClient({ brokers: [bank.stack.brokers] }).admin();
    await admin.connect();
    const partitions = [{ partition: 2, offset: "1000" }];
    await admin.setOffsets({ groupId: group, topic: commands.name, partitions });
    await admin.disconnect();

    const before = (await everythingTold()).of("offsets/account");
    expect(before?.status).toBe("wrong");
    expect(before?.why).toMatch(/^OFFSETS_AHEAD/);
    expect(before?.found).toMatch(/partition 2 at 1000, end \d+/);
    const command = /--delete-offsets --group (\S+) --topic (\S+)$/.exec(before?.mend ?? "");
    await deleteOffsets(command?.[1] ?? "", command?.[2] ?? "");
    expect((await everythingTold()).of("offsets/account")).toMatchObject({ status: "ok" });
  });

  test("says who runs nothing, and how to run it", async () => {
    const { code, of } = await everythingTold();
    expect(of("members/account")).toMatchObject({
      found: "nobody runs account (group bank.account)",
      mend: "npm run -s foldlog -- run account",
    });
    expect(of("gateway")?.found).toMatch(/does not answer/);
    expect(code).toBe(1);
  });
});

/** The request that `kafka-consumer-groups.sh --delete-offsets` sends (OffsetDelete, KIP-496). */
async function deleteOffsets(group: string, topic: string): Promise<void> {
  const connection = await Connection.open(addressOf(bank.stack.brokers), kafka());
  const all = Array.from({ length: commands.partitions }, (_, partition) => int32(partition));
  const body = struct(string(group), array([struct(string(topic), array(all))]));
  try {
    const code = await connection.ask({ key: 47, version: 0 }, body, (it) => it.int16());
    expect(code).toBe(0);
  } finally {
    connection.close();
  }
}

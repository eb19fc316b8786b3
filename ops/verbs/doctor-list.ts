import type { Config } from "../../engine/config.ts";
import { logWorkers } from "../../processors/workers.ts";
import { catalog } from "../../topics/catalog.ts";
import { workers as localWorkers } from "../stack/application.ts";
import { folderAt } from "../stack/folder.ts";
import { runningIn } from "../stack/running.ts";
import { folderSetting, loadSettings, portClaims } from "../stack/settings.ts";
import { registryOf } from "./connect.ts";
import { askCluster, askOpenTransactions } from "./doctor-broker.ts";
import type { Check } from "./doctor-checks.ts";
import { type Finding, good, ifTold, mends, tell, unknown, wrong } from "./doctor-finding.ts";
import {
  clusterFindings,
  type HeldBy,
  heldBack,
  replicaFindings,
  topicFindings,
  transactionFindings,
} from "./doctor-log.ts";
import * as machine from "./doctor-machine.ts";
import * as positions from "./doctor-positions.ts";
import * as postgres from "./doctor-postgres.ts";
import { askDatabase, type PostgresFacts } from "./doctor-postgres-facts.ts";
import { askSchemas, idFindings, schemaFindings, type SchemaFacts } from "./doctor-registry.ts";
import { askGateway, gatewayFindings, healthFindings } from "./doctor-workers.ts";
import { projectionsOf } from "./migrate.ts";
import type { CliSettings } from "./settings.ts";
import { askHealth, askKafka, askPostgres, type KafkaFacts } from "./status-facts.ts";
import { workerStatuses } from "./status-workers.ts";

/** Every check in the order in which its findings are shown. What several need is asked once. */

/** @param settings `null` where they cannot be read: then what can be told without them */
export function checksFor(settings: CliSettings | null, deadlineMs: number): readonly Check[] {
  const always: readonly Check[] = [
    { id: "node", find: async () => machine.nodeFindings(machine.askNode()) },
    { id: "kafkajs", find: async () => machine.clientFindings() },
  ];
  if (settings === null) return always;
  const { config } = settings;
  const log = once(() => askKafka(config, logWorkers));
  return [
    ...always,
    ...machineChecks(settings),
    ...logChecks(config, log),
    ...registryChecks(config, deadlineMs),
    ...databaseChecks(config),
    ...viewChecks(config, log),
    ...processChecks(settings, deadlineMs),
  ];
}

function check(id: string, find: () => Promise<readonly Finding[]>): Check {
  return { id, find };
}

function machineChecks({ config, env, localDir }: CliSettings): readonly Check[] {
  const folder = folderAt(folderSetting({ ...env }));
  const use = machine.useOf(config.kafka.brokers, localDir);
  return [
    check("java", async () => machine.javaFindings(env, use)),
    check("maven", async () => machine.mavenFindings(machine.askMaven(env, folder), use)),
    check("ports", async () => {
      const claims = portClaims(loadSettings({ ...env }, localWorkers), localWorkers);
      const ports = use === "elsewhere" ? [] : await machine.askPorts(claims, folder);
      return machine.portFindings(ports, use, runningIn(folder.run).length > 0);
    }),
    check("disk", async () =>
      machine.diskFindings([
        ...(use === "local" ? [await machine.askDisk("data", folder.dir)] : []),
        await machine.askDisk("state", use === "local" ? folder.state : config.stateDir),
      ]),
    ),
  ];
}

/** Asks when it is first needed, and then hands out the same answer. */
function once<T>(ask: () => Promise<T>): () => Promise<T> {
  let asked: Promise<T> | undefined;
  return () => (asked ??= ask());
}

/** A check of something whose address is a setting. */
function having(address: string | null, name: string, checks: readonly Check[]): readonly Check[] {
  if (address !== null && address !== "") return checks;
  const why = `${name} is not set`;
  return checks.map(({ id }) => check(id, async () => [unknown(id, why)]));
}

type AskLog = () => ReturnType<typeof askKafka>;

function logChecks(config: Config, log: AskLog): readonly Check[] {
  const { kafka, replicationFactor } = config;
  const brokers = kafka.brokers.join(",");
  const names = catalog.map(({ name }) => name);
  const cluster = once(() => askCluster(kafka, names));
  const ofLog = (id: string, judge: (facts: KafkaFacts) => readonly Finding[]) =>
    check(id, async () => ifTold(id, await log(), judge));
  const statuses = (facts: KafkaFacts) => workerStatuses(logWorkers, facts, null);
  return having(brokers, "KAFKA_BROKERS", [
    check("broker", async () => clusterFindings(await cluster())),
    check("replicas", async () =>
      ifTold("replicas", await tell(cluster), (it) =>
        replicaFindings(it, catalog, replicationFactor),
      ),
    ),
    ofLog("topics", ({ topics }) => topicFindings(topics)),
    check("transactions", async () => {
      const told = await log();
      if (told.state !== "answers") return ifTold("transactions", told, () => []);
      const held = await Promise.all(heldBack(told.facts).map((at) => heldBy(config, at, cluster)));
      return transactionFindings(held, { brokers, atMs: Date.now() });
    }),
    ofLog("offsets", (it) => positions.offsetFindings(statuses(it), it.bounds, brokers)),
    ofLog("members", (it) => positions.memberFindings(statuses(it))),
    ofLog("dead-letters", (it) => positions.deadLetterFindings(it)),
  ]);
}

async function heldBy(
  { kafka }: Config,
  at: HeldBy["at"],
  cluster: () => ReturnType<typeof askCluster>,
): Promise<HeldBy> {
  const { brokers, partitions } = await cluster();
  const own = partitions.find((it) => it.topic === at.topic && it.partition === at.partition);
  const leader = brokers.get(own?.leader ?? -1);
  if (leader === undefined) return { at, open: null };
  const open = await tell(() => askOpenTransactions(kafka, leader, at));
  return { at, open: open.state === "answers" ? open.facts : null };
}

function registryChecks({ registry, ...rest }: Config, deadlineMs: number): readonly Check[] {
  const schemas = once(() => {
    const asked = {
      registry: registryOf({ registry, ...rest }),
      topics: catalog,
      idsFile: registry.idsFile,
    };
    return askSchemas(asked, AbortSignal.timeout(deadlineMs - 500));
  });
  const ofSchemas = (id: string, judge: (facts: SchemaFacts) => readonly Finding[]) =>
    check(id, async () => ifTold(id, await tell(schemas), judge));
  return having(registry.url, "SCHEMA_REGISTRY_URL", [
    check("registry", async () => {
      await schemas();
      return [good("registry", "answers")];
    }),
    ofSchemas("schemas", ({ rows }) => schemaFindings(rows)),
    ofSchemas("schema-ids", ({ ids }) => idFindings(ids)),
  ]);
}

const projections = projectionsOf(logWorkers);

function databaseChecks({ databaseUrl, databaseReadUrl }: Config): readonly Check[] {
  const address = databaseUrl ?? databaseReadUrl;
  const database = once(() => askDatabase(address ?? "", projections));
  const ofDatabase = (id: string, judge: (facts: PostgresFacts) => readonly Finding[]) =>
    check(id, async () => ifTold(id, await tell(database), judge));
  return having(address, "DATABASE_URL", [
    check("postgres", async () => postgres.serverFindings((await database()).versionNumber)),
    ofDatabase("clock", ({ clock }) => postgres.clockFindings(clock)),
    ofDatabase("migrations", ({ migrations }) => postgres.migrationFindings(migrations)),
    ofDatabase("roles", ({ roles }) => postgres.roleFindings(roles)),
    ofDatabase("rights", ({ rights, roles }) => postgres.rightFindings(rights, roles, projections)),
    ofDatabase("views", (it) => postgres.viewFindings(it.projections)),
  ]);
}

/** What is seen as the role that reads: whether it gets in, and how far the views are. */
function viewChecks(config: Config, log: AskLog): readonly Check[] {
  const reader = once(() => askPostgres(config));
  return having(config.databaseReadUrl, "DATABASE_READ_URL", [
    check("reader", async () => readerFindings(await reader())),
    check("checkpoints", async () => {
      const id = "checkpoints";
      const [ofLog, told] = await Promise.all([log(), reader()]);
      return ifTold(id, ofLog, (facts) =>
        ifTold(id, told, ({ checkpoints }) =>
          positions.checkpointFindings(
            workerStatuses(logWorkers, facts, checkpoints),
            facts.bounds,
          ),
        ),
      );
    }),
  ]);
}

/** Of the role in `DATABASE_READ_URL`. */
export function readerFindings(told: Awaited<ReturnType<typeof askPostgres>>): readonly Finding[] {
  const id = "reader";
  switch (told.state) {
    case "away":
      return [unknown(id, told.problem, mends.start)];
    case "refuses":
      return [
        wrong(id, {
          found: told.problem,
          why: "nobody can read the views: not the gateway, not foldlog sql",
          mend: `look at DATABASE_READ_URL, or set the password: FOLDLOG_ROLE_PASSWORD_FOLDLOG_READER=… ${mends.migrate}`,
        }),
      ];
    case "answers":
      return told.facts.checkpoints === null
        ? [
            wrong(id, {
              found: "it sees no checkpoints: the database is not prepared",
              why: "how fresh a view is cannot be told",
              mend: mends.migrate,
            }),
          ]
        : [good(id, "logs in, and sees the checkpoints")];
  }
}

function processChecks({ env }: CliSettings, deadlineMs: number): readonly Check[] {
  return [
    check("workers", async () => healthFindings(await askHealth(env))),
    check("gateway", async () =>
      gatewayFindings(await askGateway(env, AbortSignal.timeout(deadlineMs - 500))),
    ),
  ];
}

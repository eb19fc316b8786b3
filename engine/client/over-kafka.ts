import type { FastifyInstance } from "fastify";
import type { Application } from "../application.ts";
import { openCodec } from "../avro/avro-codec.ts";
import { openRegistry } from "../avro/registry.ts";
import { readSchemaIds } from "../avro/schema-ids.ts";
import { type Clock, systemClock } from "../clock.ts";
import type { Codec } from "../codec.ts";
import type { Config } from "../config.ts";
import { aggregateRoutes } from "../gateway/aggregate-routes.ts";
import { openAggregates } from "../gateway/aggregates.ts";
import type { Api } from "../gateway/api.ts";
import { commandStatusRoutes } from "../gateway/command-statuses.ts";
import { commandRoutes } from "../gateway/commands.ts";
import { Problem } from "../gateway/problem.ts";
import { openServer } from "../gateway/server.ts";
import { openSubmitter } from "../gateway/submitter.ts";
import { viewCatalog } from "../gateway/view-catalog.ts";
import { openViewDatabase } from "../gateway/view-database.ts";
import { viewRoutes } from "../gateway/view-routes.ts";
import { kafkaLog } from "../kafka/kafka-log.ts";
import type { Log } from "../log.ts";
import { gateway, type LogWorker } from "../worker.ts";
import type { Transport } from "./transport.ts";

/** A gateway's routes within this process, without a server: what a client says is answered just as over HTTP. */

export interface LogTransport {
  readonly log: Log;
  readonly codec: Codec;
  readonly api: Pick<Api, "aggregates" | "projections">;
  /** Of the role that only reads; `null`: views, states and events cannot be read. */
  readonly databaseUrl: string | null;
  /** See `FOLDLOG_ERA`. */
  readonly era: number;
  readonly clock?: Clock;
  /** A fault of this code, which the client is told of as `INTERNAL`. */
  readonly onFault?: (error: unknown) => void;
}

/** As long as a route waits at most. */
const waitAtMostMs = 30_000;

/**
 * Over a log and a codec that are open already, and stay so when this is closed. Positioned at the end of every
 * replies partition before it resolves.
 */
export async function overLog(options: LogTransport): Promise<Transport> {
  const { log, codec, databaseUrl, era, clock = systemClock, onFault } = options;
  const api: Api = { title: "", version: "", ...options.api };
  const aggregates = api.aggregates.map(({ topics }) => topics);
  const submitter = await openSubmitter({
    log,
    codec,
    aggregates,
    clock,
    onTrouble: () => undefined,
  });
  const stopping = new AbortController();
  const app = openServer({
    answered: () => undefined,
    fault: (error) => onFault?.(error),
  });
  withHeadersApart(app);
  const { signal } = stopping;
  commandRoutes(app, { api, codec, clock, era, submitter: () => submitter, stopping: signal });
  const closeReads =
    databaseUrl === null ? noReads(app) : openReads(app, { ...options, api, clock, databaseUrl });
  await app.ready();
  return {
    to: "Kafka",
    waitAtMostMs,
    async exchange({ method, path, headers, body }, cut) {
      const {
        statusCode,
        headers: answered,
        payload,
      } = await app.inject({
        method,
        url: path,
        headers: { ...headers, ...(body !== null && { "content-type": "application/json" }) },
        ...(body !== null && { payload: body }),
        signal: cut,
      });

      return {
        status: statusCode,
        retryAfter: answered["retry-after"] ?? null,
        text: payload,
      };
    },
    async close() {
      stopping.abort();
      await app.close();
      await submitter.close();
      await closeReads();
    },
  };
}

/** Requests that come by no socket lack what Node gives those that do. */
function withHeadersApart(app: FastifyInstance): void {
  app.addHook("onRequest", async ({ raw, headers }) => {
    const apart = Object.entries(headers).map(([name, value]) => [name, [value ?? []].flat()]);
    Object.defineProperty(raw, "headersDistinct", { value: Object.fromEntries(apart) as object });
  });
}

function openReads(
  app: FastifyInstance,
  options: LogTransport & {
    readonly api: Api;
    readonly clock: Clock;
    readonly databaseUrl: string;
  },
): () => Promise<void> {
  const { api, log, codec, clock, era } = options;
  const database = openViewDatabase(options.databaseUrl);
  const stopping = new AbortController();
  const deps = { database, clock, stopping: stopping.signal };
  viewRoutes(app, { ...deps, catalog: viewCatalog(api.projections), era });
  const aggregates = openAggregates({ ...deps, log, codec, aggregates: api.aggregates });
  aggregateRoutes(app, { api, aggregates, era });
  commandStatusRoutes(app, { api, database, clock, era });
  return async () => {
    stopping.abort();
    await aggregates.close();
    await database.close();
  };
}

function noReads(app: FastifyInstance): () => Promise<void> {
  app.get("/*", () => {
    const detail =
      "This client was opened without a database, so it sends commands and reads nothing. Set DATABASE_READ_URL.";
    throw new Problem("VIEWS_UNAVAILABLE", { detail, retryAfter: 3_600 });
  });
  return async () => undefined;
}

/**
 * Straight to Kafka, with the settings of any worker: `KAFKA_BROKERS` and `SCHEMA_REGISTRY_URL`, and
 * `DATABASE_READ_URL` where anything is to be read. Waits at most `withinMs` for the registry.
 * @throws FatalError `SCHEMA_UNREGISTERED`, `SCHEMA_DRIFT` or `UNAUTHORIZED`
 * @throws TransientError where the broker is away
 */
export async function overKafka(
  application: Application,
  config: Config,
  { withinMs = 30_000 }: { readonly withinMs?: number } = {},
): Promise<Transport> {
  const served = Object.entries(application.workers).filter(
    (entry): entry is [string, LogWorker] => entry[1].kind !== "gateway",
  );
  const api = gateway("", Object.fromEntries(served));
  const { url, idsFile } = config.registry;
  const { username, password } = new URL(url);
  const registry = openRegistry({
    url,
    ...(username !== "" && { user: decodeURIComponent(username) }),
    ...(password !== "" && { password: decodeURIComponent(password) }),
    requestTimeoutMs: 5_000,
  });
  const log = kafkaLog(config.kafka);
  try {
    const codec = await openCodec(
      {
        registry,
        topics: api.aggregates.flatMap(({ topics: { commands, events, replies } }) => [
          commands,
          events,
          replies,
        ]),
        ...(application.upcasts && { upcasts: application.upcasts }),
        ...(idsFile !== null && { knownIds: readSchemaIds(idsFile) }),
        unknownIdWaitMs: 0,
        clock: systemClock,
      },
      AbortSignal.timeout(withinMs),
    );
    const { databaseReadUrl: databaseUrl, era } = config;
    const transport = await overLog({ log, codec, api, databaseUrl, era });
    return {
      ...transport,
      async close() {
        await transport.close();
        await log.close();
      },
    };
  } catch (error) {
    await log.close();
    throw error;
  }
}

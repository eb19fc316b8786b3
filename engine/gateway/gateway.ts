import type { FastifyInstance } from "fastify";
import type { AddressInfo } from "node:net";
import type { Logger } from "pino";
import { backOff, dependencyBackoff } from "../backoff.ts";
import { type Clock, isAborted } from "../clock.ts";
import type { Codec } from "../codec.ts";
import { FatalError, messageOf, TransientError, WriterLostError } from "../errors.ts";
import { type Health, readiness, type Waits } from "../health.ts";
import type { Log } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import { aggregateRoutes } from "./aggregate-routes.ts";
import { openAggregates } from "./aggregates.ts";
import type { Api } from "./api.ts";
import { commandStatusRoutes } from "./command-statuses.ts";
import { commandRoutes } from "./commands.ts";
import { descriptionRoutes } from "./description-routes.ts";
import { openServer } from "./server.ts";
import { openSubmitter, type Submitter } from "./submitter.ts";
import { viewCatalog } from "./view-catalog.ts";
import { openViewDatabase } from "./view-database.ts";
import { viewRoutes } from "./view-routes.ts";

/** The HTTP side: turns requests into commands, and views into answers. It decides nothing. */

export interface GatewayRun {
  readonly api: Api;
  readonly listen: { readonly host: string; readonly port: number };
  /** Numbers the clusters that the log has lived in, for tokens. */
  readonly era: number;
  readonly log: Log;
  readonly codec: Codec;
  /** Of the role that only reads. */
  readonly databaseUrl: string;
  /** Asks the registry for anything. @throws TransientError where it does not answer */
  readonly probeRegistry: (signal: AbortSignal) => Promise<unknown>;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly health: Health;
  /** What cannot be done at the moment, though commands are taken. */
  readonly limits: Waits;
}

const probeMs = 5_000;

/**
 * Serves HTTP until `signal` aborts. It listens at once and takes commands when it stands at the end of every
 * replies partition; whoever waits for an answer when it stops is told where to ask for it.
 * @throws FatalError where this process must not go on
 */
export async function runGateway(run: GatewayRun, signal: AbortSignal): Promise<void> {
  const { api, listen, era, codec, clock, metrics, logger, health, limits } = run;
  let submitter: Submitter | null = null;
  const app = openServer({
    answered: ({ route, method, status, seconds }) => {
      const labels = { route, method, status: String(status) };
      metrics.observe("foldlog_http_request_duration_seconds", labels, seconds);
      metrics.set("foldlog_http_commands_in_flight", {}, submitter?.inFlight ?? 0);
    },
    fault: (error, { method, url }) => {
      logger.error({ err: error, method, path: url.split("?", 1)[0] }, "a request failed");
    },
  });
  const database = openViewDatabase(run.databaseUrl);
  commandRoutes(app, { api, codec, clock, era, submitter: () => submitter, stopping: signal });
  const catalog = viewCatalog(api.projections);
  viewRoutes(app, { catalog, database, clock, era, stopping: signal });
  const deps = { log: run.log, codec, database, clock, stopping: signal };
  const aggregates = openAggregates({ ...deps, aggregates: api.aggregates });
  aggregateRoutes(app, { api, aggregates, era });
  commandStatusRoutes(app, { api, database, clock, era });
  descriptionRoutes(app, { api, catalog, database });
  app.get("/livez", async (_, reply) =>
    reply.type("text/plain; charset=utf-8").serializer(String).send("alive\n"),
  );
  app.get("/readyz", async (_, reply) => {
    const { status, text } = readiness([health], [limits]);
    return reply.code(status).type("text/plain; charset=utf-8").serializer(String).send(text);
  });

  const partitions = api.aggregates.flatMap(({ topics: { replies } }) =>
    Array.from({ length: replies.partitions }, (_, partition) => `${replies.name}/${partition}`),
  );
  health.assigned(partitions);
  try {
    await listenAt(app, listen);
    const { port } = app.server.address() as AddressInfo;
    logger.info({ port }, "listening");
    submitter = await untilOpen(run, signal);
    if (submitter === null) return;
    for (const key of partitions) health.set(key, "ready");
    logger.info("ready");
    await Promise.race([
      submitter.ended(),
      probe(
        "the database, so views cannot be read",
        (stop) => database.query("select 1", [], stop),
        run,
        signal,
      ),
      probe("the registry, so new schemas cannot be looked up", run.probeRegistry, run, signal),
    ]);
  } finally {
    await closed(app);
    await submitter?.close();
    await aggregates.close();
    await database.close();
  }
}

const sweepMs = 50;

/**
 * Closes once every request is answered. A connection whose answer was on its way when the closing began would be kept
 * alive, and hold it up, for as long as its client likes.
 */
async function closed(app: FastifyInstance): Promise<void> {
  const sweep = setInterval(() => {
    app.server.closeIdleConnections();
  }, sweepMs);
  try {
    await app.close();
  } finally {
    clearInterval(sweep);
  }
}

async function listenAt(app: FastifyInstance, { host, port }: GatewayRun["listen"]): Promise<void> {
  try {
    await app.listen({ host, port });
  } catch (error) {
    throw new FatalError(
      "PORT_UNAVAILABLE",
      `${host}:${port} cannot be listened at: ${messageOf(error)}`,
      {
        cause: error,
      },
    );
  }
}

/** Waits for a broker that is away; `null` once `signal` aborts. */
async function untilOpen(
  { api, log, codec, clock, logger, health }: GatewayRun,
  signal: AbortSignal,
): Promise<Submitter | null> {
  const aggregates = api.aggregates.map(({ topics }) => topics);
  const onTrouble = (reason: string) => {
    logger.warn({ reason }, "sending again");
  };
  for (let attempt = 0; !signal.aborted; attempt++) {
    try {
      return await openSubmitter({ log, codec, aggregates, clock, onTrouble });
    } catch (error) {
      const mayPass = error instanceof TransientError || error instanceof WriterLostError;
      if (!mayPass) throw error;
      for (const { replies } of aggregates) {
        health.set(`${replies.name}/0`, "retrying", messageOf(error));
      }
      await backOff(dependencyBackoff, attempt, clock, signal);
    }
  }
  return null;
}

/** Says in time what cannot be done, without a request having to fail for it. Resolves when `signal` aborts. */
async function probe(
  what: string,
  ask: (signal: AbortSignal) => Promise<unknown>,
  { clock, logger, limits }: GatewayRun,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await ask(signal);
      if (limits.set(what, null)) logger.info({ what }, "waits no more");
    } catch (error) {
      if (isAborted(signal)) return;
      const reason = messageOf(error);
      if (limits.set(what, reason)) logger.warn({ what, reason }, "waiting");
    }
    await clock.sleep(probeMs, signal);
  }
}

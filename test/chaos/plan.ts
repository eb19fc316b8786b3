import { z } from "zod";

/**
 * What befalls a bank under load, and when. One plan drives three back ends: the simulator
 * (`test/simulation/`), processes on this machine and docker-compose (`test/chaos/`). A plan is plain JSON: a
 * plan file is a bug report.
 */

/** The faults' names in the field guide, `docs/reliability.md`; each has a plan in `catalogue/`. */
const faultId = z.string().regex(/^F\d{1,2}$|^[A-Z][A-Z-]+$/, "a fault's name, for example F3");

/**
 * Who is hit. `account/1` is the first instance of the worker `account`; `broker/leader` is the leader of the
 * partition that has most accounts at that moment, `broker/controller` the active controller.
 */
const target = z
  .string()
  .regex(/^[a-z_]+(\/([0-9]+|leader|controller))?$/, "for example account/1");

const ms = z.int().min(0);
/** Of all, as a fraction from 0 to 1. */
const share = z.number().min(0).max(1);

/** Requests to a broker, as a fault tells them apart. */
export const kafkaApis = [
  "InitProducerId",
  "AddPartitionsToTxn",
  "AddOffsetsToTxn",
  "Produce",
  "TxnOffsetCommit",
  "EndTxn",
  "Fetch",
  "ListOffsets",
  "OffsetFetch",
  "FindCoordinator",
  "JoinGroup",
  "SyncGroup",
  "Heartbeat",
  "Metadata",
] as const;
export type KafkaApi = (typeof kafkaApis)[number];

/** Where a worker can be told to die: just before, or just after, what the name says. */
export const failpoints = [
  "before:open-writer",
  "after:open-writer",
  "after:restore",
  "before:transaction",
  "after:produce",
  "after:send-offsets",
  "before:end-transaction",
  "after:end-transaction",
  "before:store",
  "after:store",
  "before:view-commit",
  "after:view-commit",
] as const;
export type Failpoint = (typeof failpoints)[number];

const when = {
  id: faultId,
  /** Milliseconds since the load began. */
  at: ms,
  /** How long it lasts, in milliseconds; what was killed or stopped comes back then. */
  for: ms,
};

const fault = z.discriminatedUnion("does", [
  /** SIGKILL; started again when it is over. */
  z.strictObject({ ...when, does: z.literal("kill"), target }),
  /** SIGTERM (Postgres: an immediate stop), which may drain; started again when it is over. */
  z.strictObject({ ...when, does: z.literal("terminate"), target }),
  /** SIGSTOP, and SIGCONT when it is over: a zombie, where it is longer than the session timeout. */
  z.strictObject({ ...when, does: z.literal("pause"), target }),
  /** The next process of that worker to come to this point is killed there, `times` times. */
  z.strictObject({
    ...when,
    does: z.literal("fail"),
    target,
    point: z.enum(failpoints),
    times: z.int().min(1).default(1),
  }),
  /** No packet passes between the two; `in` and `out` are the target's, the nastier ones. */
  z.strictObject({
    ...when,
    does: z.literal("isolate"),
    target,
    from: target,
    direction: z.enum(["both", "in", "out"]).default("both"),
  }),
  /** Requests on the way from workers: held, cut off before or after they were handled, or slow. */
  z.strictObject({
    ...when,
    does: z.literal("disturb"),
    link: z.enum(["kafka", "postgres", "registry", "http"]),
    /** Of Kafka only; every request where left out. */
    api: z.enum(kafkaApis).optional(),
    /** Of Postgres only; every request where left out. */
    statement: z.enum(["BEGIN", "COMMIT"]).optional(),
    /**
     * `stall`: held for `ms`, with all that follows on the connection, and passed on even where its sender has
     * given up; `delay`: answered so much later; `lose-request`: the connection is cut instead of passing it on;
     * `cut`: when half of it has passed; `lose-answer`: when the answer comes; `swallow-answer`: nothing is heard
     * of it, and the connection stays.
     */
    how: z.enum(["stall", "delay", "lose-request", "cut", "lose-answer", "swallow-answer"]),
    /** How many of them, by chance. */
    share: share.default(1),
    /** Of `stall` and `delay`. */
    ms: ms.default(0),
  }),
  /** The disk under the target has no room. */
  z.strictObject({ ...when, does: z.literal("fill-disk"), target }),
  /** Members of the worker's group come and go every `everyMs`. */
  z.strictObject({ ...when, does: z.literal("storm"), target, everyMs: ms }),
  /** What operators, other programs and time do; `args` as its name needs them. */
  z.strictObject({
    ...when,
    does: z.enum([
      "delete-store",
      "restore-old-store",
      "swap-stores",
      "delete-group",
      "reset-group",
      "recreate-topic",
      "add-partitions",
      "compact",
      "hang-transaction",
      "idle",
      "register-breaking-schema",
      "fail-over-postgres",
      "lock-tables",
      "use-up-connections",
      "roll-brokers",
      "lower-transaction-version",
    ]),
    target,
    args: z.record(z.string(), z.union([z.string(), z.number()])).default({}),
  }),
]);
export type Fault = z.infer<typeof fault>;

const load = z.strictObject({
  /** Commands a second. */
  rate: z.number().positive(),
  /** Milliseconds. */
  for: ms,
  accounts: z.int().positive(),
  /** How many commands are what, by chance; the rest are sound and sent once. */
  mix: z
    .strictObject({
      /** The same command again, at once or much later. */
      duplicates: share.default(0),
      /** With an expected version, half of them stale. */
      expectedVersions: share.default(0),
      /** Bytes that are no command, of each kind there is. */
      poison: share.default(0),
      /** Just below and just above what a record may weigh. */
      oversize: share.default(0),
      /** On a partition where the account does not live, as another client's hashing puts them. */
      wrongPartition: share.default(0),
    })
    .prefault({}),
  /** How many are sent by HTTP, with the token of each answer used for a read; the rest go to Kafka. */
  http: share.default(0),
});

const plan = z.strictObject({
  name: z.string().min(1),
  /** What it does and what must hold, in a sentence or two. */
  about: z.string().min(1),
  seed: z.int().min(0).default(1),
  load,
  /** Three have RF 3 and min ISR 2. */
  brokers: z.union([z.literal(1), z.literal(3)]).default(1),
  /** Settings of the brokers beyond those of every run, for example "transactional.id.expiration.ms". */
  properties: z.record(z.string(), z.string()).optional(),
  /** How many processes of each worker. */
  workers: z.record(z.string(), z.int().min(0)).default({ account: 2, balances: 1, statements: 1 }),
  faults: z.array(fault),
  /** Of the simulator: commands of the load, by number, that are not sent; so a plan that fails gets small. */
  without: z.array(z.int().min(0)).optional(),
  /** After the last fault is over: how long all may take to come to rest, in milliseconds. */
  quiesceMs: ms.default(120_000),
  /**
   * `survives`: every invariant holds and everything comes to rest. Else the code with which a worker refuses to
   * go on, which is what it should do: for example OFFSETS_AHEAD.
   */
  expects: z.string().default("survives"),
  /** Which back ends can do this to a bank. */
  on: z.array(z.enum(["simulator", "processes", "compose"])).min(1),
});
export type Plan = z.infer<typeof plan>;
export type Load = Plan["load"];
export type BackEnd = Plan["on"][number];

/**
 * A plan from the JSON of its file.
 * @throws Error that names every fault of the plan
 */
export function parsePlan(json: unknown): Plan {
  const parsed = plan.safeParse(json);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
  throw new Error(`This is no plan: ${faults.join("; ")}`);
}

import { randomFrom } from "../../engine/testing/jumping-clock.ts";
import { type Failpoint, failpoints, type Fault, type KafkaApi, type Plan } from "./plan.ts";

/** Plans drawn by a seed: two to four faults of any kind, of any length, at any time. Pure. */

export interface SwarmOptions {
  /** Commands a second. */
  readonly rate: number;
  readonly brokers: 1 | 3;
}

type Chance = ReturnType<typeof chanceOf>;

function chanceOf(seed: number) {
  const next = randomFrom(seed);
  return {
    next,
    /** A whole number from `least` to `most`. */
    whole: (least: number, most: number) => least + Math.floor(next() * (most - least + 1)),
    pick: <T>(list: readonly [T, ...T[]]): T => list[Math.floor(next() * list.length)] ?? list[0],
  };
}

const loadMs = 75_000;
const firstMs = 2_000;

/** The plan of a seed: the same for the same seed and options. */
export function drawPlan(seed: number, { rate, brokers }: SwarmOptions): Plan {
  const chance = chanceOf(seed);
  const workers = {
    account: chance.whole(1, 3),
    balances: chance.whole(1, 2),
    statements: 1,
    ...{ command_status: 1, event_index: 1, gateway: 1 },
  };
  const draw = drawerOf(chance, { brokers, accounts: workers.account });
  const faults = Array.from({ length: chance.whole(2, 4) }, () => {
    const at = chance.whole(firstMs, loadMs - 15_000);
    return { id: "F34", at, ...draw() };
  });
  return {
    name: `swarm ${seed}`,
    about: "Faults drawn by a seed: every promise holds, and all comes to rest.",
    seed,
    load: {
      rate,
      for: loadMs,
      accounts: chance.pick([20, 300, 3_000]),
      mix: {
        ...{ duplicates: 0.02, expectedVersions: 0.05, poison: 0.003 },
        ...{ oversize: 0.0002, wrongPartition: 0.002 },
      },
      http: 0.02,
    },
    ...{ brokers, workers, faults: faults.toSorted((a, b) => a.at - b.at) },
    quiesceMs: 180_000,
    expects: "survives",
    on: ["processes"],
  };
}

type Drawn = WithoutTime<Fault>;
type WithoutTime<T> = T extends unknown ? Omit<T, "id" | "at"> : never;
type Bank = { readonly brokers: 1 | 3; readonly accounts: number };

const projectors = ["balances/1", "statements/1", "command_status/1", "event_index/1"] as const;

/** Each kind of fault is as likely as every other. */
function drawerOf(chance: Chance, bank: Bank): () => Drawn {
  const { pick, whole } = chance;
  const account = () => `account/${whole(1, bank.accounts)}`;
  const worker = () => (chance.next() < 0.6 ? account() : pick([...projectors, "gateway/1"]));
  const service = () => pick(["postgres", "registry", broker()]);
  /** The only broker comes up again without the markers of its transactions (KAFKA-20734): see the catalogue. */
  const killable = () => (bank.brokers === 1 ? pick(["postgres", "registry"]) : service());
  const broker = () =>
    bank.brokers === 1 ? "broker/1" : pick(["broker/1", "broker/2", "broker/3", "broker/leader"]);
  const short = () => whole(200, 6_000);
  /** Longer than a session, so that another takes over. */
  const long = () => whole(11_000, 16_000);
  const operator = (does: string, target: string, lasts = 0, args = {}) =>
    ({ does, target, for: lasts, args }) as Drawn;

  const kinds: readonly [() => Drawn, ...(() => Drawn)[]] = [
    () => ({ does: "kill", target: worker(), for: pick([0, short()]) }),
    () => ({ does: "kill", target: "account", for: short() }),
    () => ({ does: "kill", target: killable(), for: short() }),
    () => ({ does: "terminate", target: worker(), for: pick([0, short()]) }),
    () => ({ does: "terminate", target: service(), for: short() }),
    () => ({ does: "pause", target: account(), for: pick([short(), long()]) }),
    () => ({ does: "pause", target: pick([worker(), service()]), for: short() }),
    () => failing(chance, account()),
    () => failing(chance, account()),
    () => ({
      does: "isolate",
      target: worker(),
      from: "broker",
      ...direction(chance),
      for: long(),
    }),
    () => ({
      does: "isolate",
      target: pick(projectors),
      from: "postgres",
      ...direction(chance),
      for: short(),
    }),
    () => ({
      does: "isolate",
      target: account(),
      from: "registry",
      ...direction(chance),
      for: short(),
    }),
    () => disturbing(chance),
    () => disturbing(chance),
    () => disturbing(chance),
    () => ({
      does: "storm",
      target: "account",
      everyMs: whole(500, 3_000),
      for: whole(5_000, 12_000),
    }),
    () => operator("delete-store", account()),
    () => operator("restore-old-store", account(), whole(3_000, 12_000)),
    ...(bank.accounts > 1 ? [() => operator("swap-stores", "account")] : []),
    () => operator("delete-group", "account"),
    () => operator("reset-group", "account", 0, { to: "earliest" }),
    () => operator("compact", "account", whole(8_000, 14_000), { topic: "snapshots" }),
    () => operator("hang-transaction", "broker", whole(2_000, 10_000), { partition: whole(0, 11) }),
    () => operator("lock-tables", "postgres", short()),
    () => operator("use-up-connections", "postgres", short()),
    () => operator("fail-over-postgres", "postgres", whole(2_000, 8_000)),
    () => operator("register-breaking-schema", "registry"),
    ...(bank.brokers === 3 ? threeBrokers(chance) : []),
  ];
  return () => pick(kinds)();
}

function threeBrokers({ pick, whole }: Chance): readonly (() => Drawn)[] {
  const broker = () => pick(["broker/1", "broker/2", "broker/3", "broker/leader"]);
  return [
    () => ({ does: "kill", target: "broker/controller", for: whole(1_000, 8_000) }),
    () => ({ does: "kill", target: broker(), for: whole(1_000, 8_000) }),
    () => ({
      does: "isolate",
      target: broker(),
      from: "broker",
      direction: "both",
      for: whole(2_000, 12_000),
    }),
    () => ({ does: "roll-brokers", target: "broker", for: 0, args: {} }),
  ];
}

function direction({ pick }: Chance) {
  return { direction: pick(["both", "in", "out"] as const) };
}

function failing(chance: Chance, target: string): Drawn {
  const ofViews: readonly Failpoint[] = ["before:view-commit", "after:view-commit"];
  const point = chance.pick(failpoints);
  const whom = ofViews.includes(point) ? chance.pick(projectors) : target;
  return { does: "fail", target: whom, point, times: 1, for: chance.whole(3_000, 10_000) };
}

const requests: readonly [KafkaApi, ...KafkaApi[]] = [
  ...(["InitProducerId", "AddPartitionsToTxn", "AddOffsetsToTxn", "Produce"] as const),
  ...(["TxnOffsetCommit", "EndTxn", "Fetch", "ListOffsets", "OffsetFetch"] as const),
  ...(["FindCoordinator", "JoinGroup", "SyncGroup", "Heartbeat", "Metadata"] as const),
];

function disturbing({ next, pick, whole }: Chance): Drawn {
  const how = pick(["stall", "lose-request", "lose-answer", "cut", "delay"] as const);
  const link = next() < 0.7 ? "kafka" : pick(["postgres", "registry", "http"] as const);
  return {
    ...{ does: "disturb", link, how, share: pick([0.02, 0.2, 1]) },
    ...(link === "kafka" && { api: pick(requests) }),
    ms: how === "delay" ? whole(50, 1_500) : whole(500, 8_000),
    for: whole(1_000, 10_000),
  };
}

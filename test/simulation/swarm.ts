import { randomFrom } from "../../engine/testing/jumping-clock.ts";
import { failpoints, type Fault, type KafkaApi, type Plan } from "../chaos/plan.ts";
import { hashOf } from "./kernel.ts";

/**
 * The plan of a seed: some of the faults that there are, each with its own times and rates. Other seeds have
 * other ones, and some have none, so that what only a few of them lead to together is met as well.
 */
export function planOf(seed: number): Plan {
  const random = randomFrom(seed ^ hashOf("plan"));
  const forMs = Math.round(8_000 + random() * 14_000);
  const count = Math.round(30 + random() * 50);
  const dice = new Dice(random, forMs);
  const share = (of: number) => (random() < 0.5 ? Math.round(random() * of * 100) / 100 : 0);
  return {
    name: `seed ${seed}`,
    about: "Drawn from its seed: every invariant must hold, and everything must come to rest.",
    seed,
    load: {
      rate: (count * 1_000) / forMs,
      for: forMs,
      accounts: dice.oneOf(1, 3, 5, 12),
      mix: {
        duplicates: share(0.4),
        expectedVersions: share(0.3),
        poison: share(0.1),
        oversize: 0,
        wrongPartition: share(0.1),
      },
      http: 0,
    },
    brokers: 1,
    workers: {
      account: dice.oneOf(1, 2, 2, 2, 3),
      balances: dice.oneOf(1, 2, 2),
      statements: 1,
    },
    faults: random() < 0.08 ? [] : faultsOf(dice),
    quiesceMs: 120_000,
    expects: "survives",
    on: ["simulator"],
  };
}

class Dice {
  readonly random: () => number;
  private readonly forMs: number;

  constructor(random: () => number, forMs: number) {
    this.random = random;
    this.forMs = forMs;
  }

  oneOf<T>(...choices: readonly T[]): T {
    return choices[Math.floor(this.random() * choices.length)] as T;
  }

  between(least: number, most: number): number {
    return Math.round(least + this.random() * (most - least));
  }

  /** When it begins, maybe a little after the load has ended, and how long it lasts. */
  when(id: string, least: number, most: number) {
    return { id, at: this.between(0, this.forMs * 1.15), for: this.between(least, most) };
  }

  worker(): string {
    return this.oneOf(
      "account/1",
      "account/1",
      "account/2",
      "balances/1",
      "balances/2",
      "statements/1",
    );
  }

  account(): string {
    return this.oneOf("account/1", "account/2");
  }
}

const writes: readonly KafkaApi[] = [
  "InitProducerId",
  "AddPartitionsToTxn",
  "Produce",
  "AddOffsetsToTxn",
  "TxnOffsetCommit",
  "EndTxn",
];
const others: readonly KafkaApi[] = [
  "Fetch",
  "ListOffsets",
  "OffsetFetch",
  "Heartbeat",
  "JoinGroup",
];

type Draw = (dice: Dice) => Fault | Fault[];

/** Each kind of fault, and how many of it a seed has where it has any. */
const kinds: readonly (readonly [most: number, draw: Draw])[] = [
  [4, (d) => ({ ...d.when("F1", 500, 6_000), does: "kill", target: d.worker() })],
  [1, (d) => ({ ...d.when("F1", 500, 6_000), does: "kill", target: "client/1" })],
  [3, twice],
  [
    5,
    (d) => ({
      ...d.when("F1", 5_000, 20_000),
      does: "fail",
      target: d.worker(),
      point: d.oneOf(...failpoints),
      times: d.between(1, 2),
    }),
  ],
  [3, (d) => ({ ...d.when("F2", 500, 24_000), does: "pause", target: d.worker() })],
  [2, (d) => ({ ...d.when("F27", 500, 4_000), does: "terminate", target: d.worker() })],
  [
    3,
    (d) =>
      disturb(d, "F3", { api: d.oneOf(...writes), how: "stall", ms: d.between(3_000, 25_000) }),
  ],
  [3, (d) => disturb(d, "F4", { api: d.oneOf(...writes, ...others), how: "lose-answer" })],
  [3, (d) => disturb(d, "F4", { api: d.oneOf(...writes, ...others), how: "lose-request" })],
  [2, (d) => disturb(d, "F4", { how: d.oneOf("lose-answer", "lose-request", "cut") })],
  [2, (d) => disturb(d, "F11", { how: "delay", ms: d.between(100, 9_000) })],
  [
    1,
    (d) =>
      disturb(d, "F11", { api: d.oneOf(...others), how: "stall", ms: d.between(2_000, 15_000) }),
  ],
  [
    2,
    (d) => ({
      ...d.when("F7", 1_000, 15_000),
      does: "isolate",
      target: d.worker(),
      from: "broker",
      direction: d.oneOf("both", "in", "out"),
    }),
  ],
  [
    1,
    (d) => ({
      ...d.when("F8", 1_000, 15_000),
      does: "isolate",
      target: d.oneOf("balances/1", "statements/1"),
      from: "postgres",
      direction: d.oneOf("both", "in", "out"),
    }),
  ],
  [
    3,
    (d) => ({
      ...disturb(d, "F8", {
        how: d.oneOf("lose-answer", "lose-request", "stall", "cut", "delay"),
        ms: d.between(500, 15_000),
      }),
      link: "postgres",
    }),
  ],
  [
    2,
    (d) => ({
      ...d.when("F5", 1_000, 5_000),
      does: "kill",
      target: d.oneOf("broker/1", "broker/2", "broker/leader"),
    }),
  ],
  [1, (d) => ({ ...d.when("F13", 500, 5_000), does: "kill", target: "postgres" })],
  [
    2,
    (d) =>
      operate(d, "F13", {
        does: "fail-over-postgres",
        target: "postgres",
        args: { commits: d.between(1, 6) },
      }),
  ],
  [
    1,
    (d) => ({
      ...d.when("F19", 4_000, 10_000),
      does: "storm",
      target: d.oneOf("account", "balances"),
      everyMs: d.between(500, 2_500),
    }),
  ],
  [4, (d) => operate(d, "F21", { does: "compact", target: "account", args: {} })],
  [2, (d) => operate(d, "F22", { does: "hang-transaction", target: "account", args: {} })],
  [1, (d) => operate(d, "F23", { does: "delete-group", target: "account", args: {} })],
  [1, (d) => operate(d, "F23", { does: "reset-group", target: "account", args: {} })],
  [2, (d) => operate(d, "STORE-LOST", { does: "delete-store", target: d.account(), args: {} })],
  [2, (d) => operate(d, "STORE-OLD", { does: "restore-old-store", target: d.account(), args: {} })],
  [
    2,
    (d) =>
      operate(d, "STORE-SWAPPED", {
        does: "swap-stores",
        target: d.account(),
        args: d.random() < 0.4 ? { how: "share" } : {},
      }),
  ],
  [
    1,
    (d) => ({
      ...operate(d, "IDLE-WEEK", {
        does: "idle",
        target: "bank",
        args: { days: d.oneOf(1, 8, 15) },
      }),
      for: 30_000,
    }),
  ],
];

/** A second blow just after the process was started again: while it opens and restores. */
function twice(dice: Dice): Fault[] {
  const target = dice.worker();
  const first = { ...dice.when("F1", 500, 3_000), does: "kill", target } as const;
  const at = first.at + first.for + dice.between(1, 150);
  const lasts = dice.between(500, 15_000);
  const does = dice.oneOf("kill", "pause", "terminate");
  return [first, { id: does === "pause" ? "F2" : "F1", at, for: lasts, does, target }];
}

function faultsOf(dice: Dice): Fault[] {
  const rate = dice.oneOf(0.06, 0.12, 0.25);
  return kinds
    .flatMap(([most, draw]) => {
      if (dice.random() >= rate) return [];
      return Array.from({ length: dice.between(1, most) }, () => draw(dice)).flat();
    })
    .sort((a, b) => a.at - b.at);
}

type Disturb = Extract<Fault, { does: "disturb" }>;

function disturb(
  dice: Dice,
  id: string,
  what: { readonly api?: KafkaApi; readonly how: Disturb["how"]; readonly ms?: number },
): Disturb {
  const share = dice.oneOf(0.05, 0.2, 0.6, 1);
  const when = dice.when(id, 500, share > 0.5 ? 4_000 : 12_000);
  return { ...when, does: "disturb", link: "kafka", share, ms: 0, ...what };
}

type Operate = Extract<Fault, { args: unknown }>;

function operate(dice: Dice, id: string, what: Pick<Operate, "does" | "target" | "args">): Operate {
  return { ...dice.when(id, 0, 0), ...what };
}

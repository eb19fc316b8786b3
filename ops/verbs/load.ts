import { createHash } from "node:crypto";
import { uuidV7 } from "../../engine/message.ts";
import type { Clock } from "../../engine/clock.ts";

/** Commands made up under a seed: the same seed and clock make the same ones. */

export interface LoadOptions {
  readonly accounts: number;
  readonly seed: string;
  readonly clock: Pick<Clock, "now">;
}

export interface MadeCommand {
  readonly type: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Of the commands after the accounts were opened; the rest are withdrawals that an account can bear. */
const shares = { deposits: 0.6, overdrafts: 0.1 };
const mostCents = 50_000;

/**
 * Opens every account, then deposits and withdraws without end: six in ten are deposits, three withdrawals of
 * what is there, and one of more than is there, which must be rejected. Ids are UUIDv7.
 */
export function* load({ accounts, seed, clock }: LoadOptions): Generator<MadeCommand, never> {
  const random = seededRandom(seed);
  const whole = (below: number) => Math.floor(random() * below);
  const idOf = (account: number) => `load-${seed}-${account + 1}`;
  const balances = new Array<number>(accounts).fill(0);
  const common = (account: number) => ({
    commandId: uuidV7(clock.now(), random),
    accountId: idOf(account),
  });

  for (let account = 0; account < accounts; account++) {
    const owner = `${names[whole(names.length)] ?? ""} ${account + 1}`;
    yield { type: "OpenAccount", fields: { ...common(account), owner } };
  }
  for (;;) {
    const account = whole(accounts);
    const balance = balances[account] ?? 0;
    const chance = random();
    const amount = 1 + whole(mostCents);
    if (chance < shares.overdrafts) {
      yield withdraw({ ...common(account), amountCents: balance + amount });
    } else if (chance < shares.overdrafts + shares.deposits || balance === 0) {
      balances[account] = balance + amount;
      yield { type: "DepositFunds", fields: { ...common(account), amountCents: amount } };
    } else {
      const bearable = 1 + (amount % balance);
      balances[account] = balance - bearable;
      yield withdraw({ ...common(account), amountCents: bearable });
    }
  }
}

function withdraw(fields: MadeCommand["fields"]): MadeCommand {
  return { type: "WithdrawFunds", fields };
}

const names = ["Ada", "Grace", "Edsger", "Barbara", "Alan", "Katherine", "Leslie", "Radia"];

/**
 * Numbers in [0, 1): sfc32 (Chris Doty-Humphrey, PractRand), its state the SHA-256 of the seed. Not for secrets.
 */
export function seededRandom(seed: string): () => number {
  const hash = createHash("sha256").update(seed).digest();
  let [a, b, c, d] = [0, 4, 8, 12].map((at) => hash.readInt32LE(at)) as [
    number,
    number,
    number,
    number,
  ];
  return () => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + t) | 0;
    return (t >>> 0) / 2 ** 32;
  };
}

export interface Pace {
  /** Commands a second. */
  readonly rate: number;
  readonly forMs: number;
}

/**
 * How many commands are due after so long, the first one at once; never more than the pace makes in all. What
 * was held up is caught up with.
 */
export function dueAfter(elapsedMs: number, { rate, forMs }: Pace): number {
  return Math.min(totalOf({ rate, forMs }), Math.floor((elapsedMs / 1000) * rate) + 1);
}

export function totalOf({ rate, forMs }: Pace): number {
  return Math.max(1, Math.round((rate * forMs) / 1000));
}

const tickMs = 10;
/** So many at a time, so that the end of the time is noticed where they are taken slowly. */
const maxAtOnce = 100;
const lateSeconds = 0.2;

/** Takes commands at a pace, and ends with its time even where they could not all be taken. */
export async function* paced(
  commands: Iterator<MadeCommand, never>,
  pace: Pace,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<readonly MadeCommand[]> {
  const startedAt = clock.now();
  const total = totalOf(pace);
  for (let given = 0; given < total && !signal.aborted;) {
    const elapsedMs = clock.now() - startedAt;
    const isOver = elapsedMs >= pace.forMs && given > 0;
    // A timer that was late is no reason to leave the last ones out.
    if (isOver && total - given > Math.max(1, pace.rate * lateSeconds)) return;
    const due = Math.min(dueAfter(elapsedMs, pace) - given, maxAtOnce);
    if (due > 0) {
      given += due;
      yield Array.from({ length: due }, () => commands.next().value);
    }
    if (due === maxAtOnce) continue;
    const nextMs = (given / pace.rate) * 1000 - (clock.now() - startedAt);
    await clock.sleep(Math.max(tickMs, nextMs), signal);
  }
}

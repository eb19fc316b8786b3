import { uuidV7 } from "../../engine/message.ts";
import { randomFrom } from "../../engine/testing/jumping-clock.ts";
import type { Load } from "./plan.ts";

/** What a bank's clients send, made up under a seed: pure, but for the time in the command ids. */

/** What is to be sent next. */
export type Draw =
  | { readonly kind: "command"; readonly command: DrawnCommand }
  /** A command that was drawn before, word for word. */
  | { readonly kind: "again"; readonly command: DrawnCommand }
  /** Bytes that no worker can process: the `which`-th kind of all that there are, modulo their number. */
  | { readonly kind: "poison"; readonly which: number };

export interface DrawnCommand {
  readonly type: "OpenAccount" | "DepositFunds" | "WithdrawFunds" | "CloseAccount";
  readonly commandId: string;
  readonly accountId: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly expectedVersion: number | null;
  /**
   * `wrong partition`: as another client's hashing puts it. `fits`: just below what a record may weigh, so that
   * its event is too large; `too large`: just above it.
   */
  readonly how: "sound" | "wrong partition" | "fits" | "too large";
}

export interface DrawOptions {
  readonly load: Pick<Load, "accounts" | "mix">;
  readonly seed: number;
  /** Parts one run's accounts from those of others in the same log. */
  readonly run: string;
  readonly now: () => number;
  /** The version of an account as far as a client was told. */
  readonly versionOf: (accountId: string) => number;
}

/** Of the sound commands; the rest are withdrawals, some of more than there is. */
const deposits = 0.6;
const closes = 0.0005;
const mostCents = 50_000;
/** So many of the last commands may be sent again. */
const remembered = 5_000;
const soon = 0.5;
/** The names of all owners, which no log or metric may tell. */
export const ownersBeginWith = "Owner of ";

/**
 * Opens every account, then deposits and withdraws without end, a few accounts more than others. An account that
 * is closed is followed by a new one in its place.
 */
export function* drawCommands(options: DrawOptions): Generator<Draw, never> {
  const { load, seed, run, now, versionOf } = options;
  const { accounts, mix } = load;
  const chance = randomFrom(seed);
  const below = (most: number) => Math.floor(chance() * most);
  const generations = new Array<number>(accounts).fill(0);
  const idOf = (slot: number) => `${run}-${slot}-${generations[slot] ?? 0}`;
  const earlier: DrawnCommand[] = [];
  let drawn = 0;

  const drawFor = (
    slot: number,
    type: DrawnCommand["type"],
    fields: DrawnCommand["fields"],
    { how = "sound", expectedVersion = null }: Partial<DrawnCommand> = {},
  ): Draw => {
    const commandId = uuidV7(now(), chance);
    const accountId = idOf(slot);
    const command = { type, commandId, accountId, fields, expectedVersion, how };
    if (how === "sound") earlier[drawn++ % remembered] = command;
    return { kind: "command", command };
  };
  const open = (slot: number) =>
    drawFor(slot, "OpenAccount", { owner: `${ownersBeginWith}${slot}` });
  const again = (): Draw | null => {
    const back = chance() < soon ? 1 : 1 + below(Math.min(drawn, remembered));
    const command = earlier[(drawn - back) % remembered];
    return command === undefined ? null : { kind: "again", command };
  };
  const kindOf = (): DrawnCommand["how"] => {
    const at = chance();
    if (at < mix.wrongPartition) return "wrong partition";
    if (at < mix.wrongPartition + mix.oversize / 2) return "fits";
    return at < mix.wrongPartition + mix.oversize ? "too large" : "sound";
  };
  const expected = (slot: number): number | null => {
    if (chance() >= mix.expectedVersions) return null;
    const version = versionOf(idOf(slot));
    return chance() < 0.5 ? version : Math.max(0, version - 1 - below(3));
  };

  for (let slot = 0; slot < accounts; slot++) yield open(slot);
  for (;;) {
    const at = chance();
    if (at < mix.poison) {
      yield { kind: "poison", which: below(1_000_000) };
      continue;
    }
    const repeated = at < mix.poison + mix.duplicates ? again() : null;
    if (repeated !== null) {
      yield repeated;
      continue;
    }
    // Squared: the first tenth of the accounts gets a third of the commands.
    const slot = Math.floor(chance() ** 2 * accounts);
    if (chance() < closes) {
      // The first close is refused, for there is money; the second is not.
      for (let closed = 0; closed < 2; closed++) {
        yield drawFor(slot, "CloseAccount", {});
        generations[slot] = (generations[slot] ?? 0) + 1;
        yield open(slot);
      }
      continue;
    }
    const type = chance() < deposits ? "DepositFunds" : "WithdrawFunds";
    const how = kindOf();
    const expectedVersion = how === "sound" ? expected(slot) : null;
    yield drawFor(slot, type, { amountCents: 1 + below(mostCents) }, { how, expectedVersion });
  }
}

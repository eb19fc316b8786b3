import type { Codec } from "../../engine/codec.ts";
import type { OutRecord } from "../../engine/log.ts";
import { uuidV7 } from "../../engine/message.ts";
import type { AggregateTopics } from "../../engine/topic.ts";
import { commandRecord } from "../bank.ts";
import type { Plan } from "../chaos/plan.ts";
import { poisons } from "../poisons.ts";
import type { Kernel } from "./kernel.ts";

/** The commands of a plan, and when each is sent. */

/** One command that is sent, maybe for the second time. */
export interface LoadCommand {
  readonly number: number;
  /** Milliseconds since the load began. */
  readonly at: number;
  readonly client: number;
  /** The number of the command that it is, or is again. */
  readonly of: number;
  readonly what: What;
}

type What =
  | { readonly kind: "poison"; readonly index: number }
  | {
      readonly kind: "command";
      readonly type: string;
      readonly fields: Readonly<Record<string, unknown>> & { readonly accountId: string };
      /** How the id tells when it was issued, if it does. */
      readonly id: "uuid" | "issuedAt" | "bare";
      readonly isMisplaced: boolean;
    };

/** Those that depend on another topic, on a registry that waits, or on chance that no seed gives. */
const left = /unknown schema|random bytes|wrong partition|U\+0000, which no view/;
const simulatedPoisons = poisons.filter(({ what }) => !left.test(what));

const types = ["DepositFunds", "DepositFunds", "DepositFunds", "WithdrawFunds", "CloseAccount"];

/** Draws the commands: each account is opened by one of its first commands, more or less. */
export function loadOf(
  { load, without = [] }: Plan,
  kernel: Kernel,
  clients: number,
): LoadCommand[] {
  const { mix } = load;
  const count = Math.max(1, Math.round((load.rate * load.for) / 1000));
  const commands: LoadCommand[] = [];
  const opened = new Set<string>();
  for (let number = 0; number < count; number++) {
    const random = kernel.fork(`command ${number}`);
    const at = ((number + random()) * load.for) / count;
    const client = Math.floor(random() * clients);
    const [kind, which] = [random(), random()];
    const again = commands[Math.floor(which * commands.length)];
    if (again && kind < mix.duplicates) {
      commands.push({ number, at, client, of: again.of, what: again.what });
      continue;
    }
    const isPoison = random() < mix.poison;
    const what: What = isPoison
      ? { kind: "poison", index: Math.floor(which * simulatedPoisons.length) }
      : drawn(random, number, { load, opened });
    commands.push({ number, at, client, of: number, what });
  }
  const dropped = new Set(without);
  return commands.filter(({ number }) => !dropped.has(number));
}

function drawn(
  random: () => number,
  number: number,
  { load, opened }: { readonly load: Plan["load"]; readonly opened: Set<string> },
): What {
  const accountId = `a-${Math.floor(random() * load.accounts)}`;
  const isOpening = !opened.has(accountId) || random() < 0.03;
  if (random() < 0.9) opened.add(accountId);
  const type = isOpening ? "OpenAccount" : (types[Math.floor(random() * types.length)] ?? "");
  const expectsVersion = random() < load.mix.expectedVersions;
  const fields = {
    accountId,
    owner: `owner ${number}`,
    amountCents: Math.floor(random() * 100) - 5,
    reference: random() < 0.5 ? `for ${number}` : null,
    expectedVersion: expectsVersion ? Math.floor(random() * 8) : null,
  };
  const id = (["uuid", "issuedAt", "bare"] as const)[Math.floor(random() * 3)] ?? "bare";
  const isMisplaced = random() < load.mix.wrongPartition;
  return { kind: "command", type, fields, id, isMisplaced };
}

/** Makes each command's record once, when it is first sent; sent again it is the same record. */
export class Records {
  private readonly made = new Map<number, OutRecord>();
  private readonly bank: { readonly topics: AggregateTopics; readonly codec: Codec };
  private readonly kernel: Kernel;

  constructor(bank: Records["bank"], kernel: Kernel) {
    this.bank = bank;
    this.kernel = kernel;
  }

  /** `now`: the client's clock, in milliseconds since the epoch. */
  of({ of, what }: LoadCommand, now: number): OutRecord {
    const known = this.made.get(of);
    if (known) return known;
    const record = what.kind === "poison" ? this.poison(what.index) : this.command(of, what, now);
    this.made.set(of, record);
    return record;
  }

  private poison(index: number): OutRecord {
    const poison = simulatedPoisons[index];
    if (!poison) throw new Error(`There is no poison ${index}`);
    return poison.record(this.bank);
  }

  private command(
    number: number,
    { type, fields, id, isMisplaced }: Extract<What, { kind: "command" }>,
    now: number,
  ): OutRecord {
    const random = this.kernel.fork(`id ${number}`);
    const commandId = id === "uuid" ? uuidV7(now, random) : `c-${number}`;
    const issuedAt = id === "issuedAt" ? now : null;
    const record = commandRecord(this.bank, type, { ...fields, commandId, issuedAt });
    if (!isMisplaced) return record;
    const { partitions } = this.bank.topics.commands;
    return { ...record, partition: (record.partition + 1) % partitions };
  }
}

import { type Fault, parsePlan, type Plan } from "../plan.ts";

/** Each service in turn is killed, paused, cut off and restarted, under load: what runs where no plan is named. */

export const deeds = ["kill", "pause", "isolate", "terminate"] as const;
export type Deed = (typeof deeds)[number];

/** As people say it. */
export const deedNames: Readonly<Record<Deed, string>> = {
  kill: "killed",
  pause: "paused",
  isolate: "cut off",
  terminate: "restarted",
};

/** Two brokers never follow each other closely: of three, two must be there for a command to be accepted. */
const stops = [
  "broker/1",
  "account/1",
  "postgres",
  "broker/2",
  "balances/1",
  "gateway/1",
  "broker/3",
  "account/2",
  "registry",
  "statements/1",
  "command_status/1",
  "event_index/1",
] as const;

/** The faults of the field guide that these are, by who is hit. */
const ids: Readonly<Record<string, Readonly<Record<Deed, string>>>> = {
  broker: { kill: "F5", pause: "F11", isolate: "F9", terminate: "F33" },
  postgres: { kill: "F13", pause: "F8", isolate: "F8", terminate: "F13" },
  registry: { kill: "F14", pause: "F14", isolate: "F14", terminate: "F14" },
};
const ofWorkers: Readonly<Record<Deed, string>> = {
  kill: "F1",
  pause: "F2",
  isolate: "F7",
  terminate: "F27",
};

/** One begins so long after the one before. */
const everyMs = 8_000;
/** Beyond it a worker's session is over and its partitions go to another (10 s), and some must see that. */
const lastsMs = { usual: 5_000, long: 14_000 } as const;

export function tour(): Plan {
  const faults = deeds.flatMap((does, round) =>
    stops.map((target, i) => faultOf({ does, target }, (round * stops.length + i) * everyMs)),
  );
  return parsePlan({
    name: "tour",
    about:
      "Each service of the three-broker bank is killed, paused, cut off and restarted in turn, under load. " +
      "No command may be lost or done twice, and every view must catch up by itself.",
    load: {
      rate: 30,
      for: faults.length * everyMs + 10_000,
      accounts: 60,
      mix: { duplicates: 0.05, expectedVersions: 0.1, poison: 0.01 },
      http: 0.3,
    },
    brokers: 3,
    workers: {
      account: 2,
      balances: 1,
      statements: 1,
      command_status: 1,
      event_index: 1,
      gateway: 1,
    },
    faults,
    quiesceMs: 300_000,
    on: ["compose"],
  });
}

/** One blow of each kind, within a minute. */
export function shortTour(): Plan {
  return parsePlan({
    name: "short tour",
    about:
      "Of three brokers the leader is killed and another one is cut off, a worker is killed, and Postgres is " +
      "restarted, under load.",
    load: {
      rate: 20,
      for: 60_000,
      accounts: 30,
      mix: { duplicates: 0.05, expectedVersions: 0.1, poison: 0.01 },
      http: 0.3,
    },
    brokers: 3,
    workers: { account: 2, balances: 1, statements: 1, command_status: 1, gateway: 1 },
    faults: [
      { id: "F5", at: 8_000, for: 5_000, does: "kill", target: "broker/leader" },
      { id: "F1", at: 20_000, for: 14_000, does: "kill", target: "account/1" },
      { id: "F13", at: 26_000, for: 5_000, does: "terminate", target: "postgres" },
      { id: "F9", at: 48_000, for: 6_000, does: "isolate", target: "broker/2", from: "everybody" },
    ],
    quiesceMs: 300_000,
    on: ["compose"],
  });
}

function faultOf(
  { does, target }: { readonly does: Deed; readonly target: string },
  at: number,
): Fault {
  const isSeenOut = target.startsWith("account") && does !== "terminate";
  const when = { at: at + 3_000, for: isSeenOut ? lastsMs.long : lastsMs.usual };
  const id = (ids[target.split("/")[0] ?? ""] ?? ofWorkers)[does];
  return does === "isolate"
    ? { ...when, id, does, target, from: "everybody", direction: "both" }
    : { ...when, id, does, target };
}

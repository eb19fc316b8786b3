import type { Clock } from "../clock.ts";
import type { Codec } from "../codec.ts";
import { commandLimits, processCommands } from "../commands/command-processor.ts";
import type { OpenStore } from "../commands/store.ts";
import type { AnyProjection } from "../projection.ts";
import type { Stop } from "../projections/projector.ts";
import type { Views } from "../projections/views.ts";
import { commandPartition, type Loop } from "./memory-application-loops.ts";
import type { MemoryLog } from "./memory-log.ts";
import type { MemoryStoreFiles } from "./memory-store.ts";
import type { MemoryViews } from "./memory-views.ts";
import type { Call, Network } from "./network.ts";
import { type RunningProjection, startProjection } from "./running-projection.ts";

/** A process that runs an application's loops in memory, and that can die at every point at which it acts. */

/** What a process runs, and what it shares with those before and after it. */
export interface ProcessParts {
  readonly loops: readonly Loop[];
  readonly log: MemoryLog;
  readonly codec: Codec;
  readonly views: ReadonlyMap<AnyProjection, MemoryViews>;
  readonly files: MemoryStoreFiles;
  readonly clock: Clock;
  /** Says of an action which one of its kind it is in this run, counted from 1. */
  readonly count: (action: string) => number;
  /** The process has come to a point. `dies`: it ends there, and nothing of it reaches anything any more. */
  readonly onPoint: (place: string) => "lives" | "dies";
}

export interface MortalProcess {
  isDead(): boolean;
  /** What a loop ended with although the process lives. */
  failure(): Error | null;
  /** The projection that stands still, and at which event. */
  standstill(): (Stop & { readonly projection: AnyProjection }) | null;
  /** The next offset that a view has to read, as far as it has told. */
  positionOf(loop: Loop): bigint;
  /** Ends every loop as a signal does; resolves when the last has ended. */
  stop(): Promise<void>;
}

/** Without a reason of its own each abort makes an exception. */
const stopped = new Error("stopped");

/** What a dead process meets wherever it turns. */
class Dead extends Error {}

/** Whether a process lives; `pass` is called at each of its points. */
interface Life {
  isDead: boolean;
  pass(place: string): void;
}

/** Snapshots come early, so that restores begin at some: the usual limits are for logs of millions. */
const limits = {
  ...commandLimits,
  snapshots: { maxEventsBehind: 4, maxAgeMs: 60_000, maxPerTransaction: 10 },
};

export async function startProcess(parts: ProcessParts): Promise<MortalProcess> {
  const life: Life = {
    isDead: false,
    pass(place) {
      if (life.isDead) throw new Dead();
      life.isDead = parts.onPoint(place) === "dies";
      if (life.isDead) throw new Dead();
    },
  };
  const stopping = new AbortController();
  const runs = new Map<Loop, RunningProjection>();
  const ends: Promise<unknown>[] = [];
  let failure: Error | null = null;
  for (const loop of parts.loops) {
    const run = await start(loop, { ...parts, life, signal: stopping.signal });
    if (run.projection !== null) runs.set(loop, run.projection);
    ends.push(run.ended);
    run.ended.catch((error: unknown) => {
      if (!life.isDead) failure ??= error instanceof Error ? error : new Error(String(error));
    });
  }

  return {
    isDead: () => life.isDead,
    failure: () => failure,
    standstill() {
      for (const [loop, { stops }] of runs) {
        const [stop] = stops;
        if (loop.kind === "view" && stop) return { ...stop, projection: loop.projection };
      }
      return null;
    },
    positionOf: (loop) => runs.get(loop)?.progress.at(-1)?.position ?? -1n,
    async stop() {
      stopping.abort(stopped);
      const projections = [...runs.values()].map((run) => run.stop());
      await Promise.allSettled([...ends, ...projections]);
    },
  };
}

interface Starting extends ProcessParts {
  readonly life: Life;
  readonly signal: AbortSignal;
}

interface Started {
  readonly ended: Promise<unknown>;
  readonly projection: RunningProjection | null;
}

async function start(loop: Loop, parts: Starting): Promise<Started> {
  const { codec, clock, files, views, signal } = parts;
  const name = nameOf(loop);
  const log = mortalLog(parts, name);
  if (loop.kind === "commands") {
    const { worker, partition } = loop;
    const openStore = mortalStores(files.open, parts, name);
    const run = commandPartition(worker, partition, { log, codec, openStore, clock, limits });
    return { ended: processCommands(run, signal), projection: null };
  }
  const { projection, of: topicPartition } = loop;
  const stored = views.get(projection);
  if (stored === undefined) throw new Error(`there is no view of ${projection.name}`);
  const view = mortalViews(stored, parts, name);
  const reader = await log.openReader();
  const run = startProjection({ projection, topicPartition, reader, codec, views: view, clock });
  return { ended: run.ended, projection: run };
}

/** `account/0`; `balances from account.events/0`. */
function nameOf(loop: Loop): string {
  if (loop.kind === "commands") return `${loop.worker.topics.aggregate}/${loop.partition}`;
  const { projection, of } = loop;
  const namespace = projection.topics.find(({ name }) => name === of.topic)?.namespace ?? "";
  return `${projection.name} from ${of.topic.slice(namespace.length + 1)}/${of.partition}`;
}

type Counting = Pick<Starting, "life" | "count">;

function mortalLog({ log, life, count }: Counting & { log: MemoryLog }, loop: string): MemoryLog {
  const network: Network = async (call, handle) => {
    const place = placeOf(call, loop, count);
    life.pass(`before ${place}`);
    const answer = handle();
    life.pass(`after ${place}`);
    return answer;
  };
  return log.via(network);
}

/** The steps of a transaction; each transaction has the first of them. */
const transactionSteps = [
  "AddPartitionsToTxn",
  "Produce",
  "AddOffsetsToTxn",
  "TxnOffsetCommit",
  "EndTxn",
];

function placeOf({ api }: Call, loop: string, count: ProcessParts["count"]): string {
  const nth = ordinal(count(`${api} ${loop}`));
  return transactionSteps.includes(api)
    ? `${api} of the ${nth} transaction of ${loop}`
    : `the ${nth} ${api} of ${loop}`;
}

function mortalViews(views: Views, { life, count }: Counting, loop: string): Views {
  return {
    ...views,
    async commit(commit, signal) {
      const place = `the ${ordinal(count(`commit ${loop}`))} commit of ${loop}`;
      life.pass(`before ${place}`);
      await views.commit(commit, signal);
      life.pass(`after ${place}`);
    },
  };
}

function mortalStores(open: OpenStore, { life, count }: Counting, loop: string): OpenStore {
  return async (name) => {
    const store = await open(name);
    const at = <T>(place: string, write: () => T): T => {
      life.pass(`before ${place}`);
      const written = write();
      life.pass(`after ${place}`);
      return written;
    };
    return {
      ...store,
      replace: (...write) => {
        const nth = ordinal(count(`store ${loop}`));
        return at(`the ${nth} write to the local store of ${loop}`, () => store.replace(...write));
      },
      empty: (...write) => at(`emptying the local store of ${loop}`, () => store.empty(...write)),
    };
  };
}

/** 1st, 2nd, 3rd, 4th, 11th. */
export function ordinal(n: number): string {
  const teens = n % 100 >= 11 && n % 100 <= 13;
  const ending = teens ? "th" : (["th", "st", "nd", "rd"][n % 10] ?? "th");
  return `${n}${ending}`;
}

import { backOff, brokerBackoff } from "../../engine/backoff.ts";
import { TransientError, WriterLostError } from "../../engine/errors.ts";
import { type Call, type Network, NotNow } from "../../engine/testing/network.ts";
import type { Failpoint, Fault } from "../chaos/plan.ts";
import type { Hits } from "./hits.ts";
import type { Event, Kernel } from "./kernel.ts";
import type { Life } from "./life.ts";

/** How requests travel between processes, brokers and Postgres, and what befalls them on the way. */

/** A request as the wire sees it; `checkpoint` and `commit` go to Postgres, all others to a broker. */
export interface Request {
  readonly api: Call["api"] | "checkpoint" | "commit";
  /** −1: Postgres. */
  readonly broker: number;
}

type How = Extract<Fault, { does: "disturb" }>["how"] | "refuse";

/** Something that is wrong with the wire for a while. */
export interface Disturbance {
  readonly how: How;
  /** Of the requests that it is about, by chance. */
  readonly share: number;
  /** Of `stall` and `delay`, in milliseconds. */
  readonly ms: number;
  readonly hits: (life: Life, request: Request) => boolean;
}

/** The process of that name that comes to this point is killed there. */
export interface Trap {
  readonly target: string;
  readonly point: Failpoint;
  times: number;
}

/** A client gives up on a request after so long. What it has sent may yet arrive. */
const requestTimeoutMs = 10_000;

const before: Partial<Record<Request["api"], Failpoint>> = {
  InitProducerId: "before:open-writer",
  AddPartitionsToTxn: "before:transaction",
  EndTxn: "before:end-transaction",
  commit: "before:view-commit",
};
const after: Partial<Record<Request["api"], Failpoint>> = {
  InitProducerId: "after:open-writer",
  Produce: "after:produce",
  TxnOffsetCommit: "after:send-offsets",
  EndTxn: "after:end-transaction",
  commit: "after:view-commit",
};

/** Questions change nothing: a client asks again until there is an answer. */
const questions: ReadonlySet<Request["api"]> = new Set(["Fetch", "ListOffsets", "OffsetFetch"]);
const ofGroups: ReadonlySet<Request["api"]> = new Set(["JoinGroup", "LeaveGroup", "Heartbeat"]);

interface Fate {
  outMs: number;
  backMs: number;
  lost: "request" | "answer" | null;
  /** The connection is cut: the sender knows at once that it will get no answer. */
  isCut: boolean;
  isRefused: boolean;
}

/** Nobody got an answer in time. */
class NoAnswer extends Error {
  override readonly name = "NoAnswer";
}

export class Wire {
  readonly disturbances = new Set<Disturbance>();
  readonly traps: Trap[] = [];
  /** How many requests that may change something are on their way, whoever still waits for them. */
  undelivered = 0;
  private readonly kernel: Kernel;
  private readonly hits: Hits;
  private readonly latencyMs: number;

  /** `latencyMs`: about what a request takes each way. */
  constructor(kernel: Kernel, hits: Hits, latencyMs: number) {
    this.kernel = kernel;
    this.hits = hits;
    this.latencyMs = latencyMs;
  }

  /** The network of one process. */
  networkOf(life: Life): Network {
    const random = this.kernel.fork(`network ${life.name} ${this.kernel.events}`);
    return async (call, handle) => {
      for (let attempt = 0; ; attempt++) {
        try {
          const asked = { request: call, handle: async () => handle() };
          const answer = await this.ask(life, random, asked);
          if (call.api === "Heartbeat") life.heardAt = this.kernel.time;
          return answer;
        } catch (error) {
          if (!(error instanceof NoAnswer)) throw error;
          if (ofGroups.has(call.api)) throw new TransientError(error.message);
          if (!questions.has(call.api)) throw new WriterLostError("indefinite", error.message);
        }
        await backOff(brokerBackoff, attempt, life.clock);
      }
    };
  }

  /** One try. @throws what `handle` throws, or an error that says that there was no answer */
  ask<T>(
    life: Life,
    random: () => number,
    { request, handle }: { readonly request: Request; readonly handle: () => Promise<T> },
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const { api } = request;
      if (!life.isAlive || this.springs(life, before[api])) return; // The dead reach nothing.
      const fate = this.fateOf(life, request, random);
      const isOver = life.waitFor(api);
      let giveUp: Event | null = null;
      const settle = (how: () => void) => {
        if (giveUp) giveUp.run = null;
        isOver();
        life.wake(how);
      };
      const answer = (how: () => void) => {
        if (fate.lost === "answer" || fate.isCut) return;
        this.kernel.at(fate.backMs, `${api} answered`, () => {
          settle(how);
        });
      };
      const changes = !questions.has(api) && !ofGroups.has(api);
      const arrive = () => {
        if (changes) this.undelivered--;
        if (fate.isRefused) {
          const refusal = new NotNow(`${api}: the broker has just lost its leadership`);
          answer(() => {
            reject(refusal);
          });
          return;
        }
        void handle().then(
          (value) => {
            if (this.springs(life, after[api])) return;
            answer(() => {
              resolve(value);
            });
          },
          (error: unknown) => {
            answer(() => {
              reject(error instanceof Error ? error : new Error(String(error)));
            });
          },
        );
      };
      if (fate.lost !== "request") {
        if (changes) this.undelivered++;
        this.kernel.at(fate.outMs, `${api} arrived`, arrive);
      }
      const waitMs = fate.isCut ? fate.backMs : requestTimeoutMs;
      if (fate.isCut || fate.lost !== null || fate.outMs + fate.backMs > waitMs) {
        giveUp = this.kernel.at(waitMs, `${api} given up`, () => {
          giveUp = null;
          fate.lost ??= "answer"; // Whatever comes now comes too late.
          settle(() => {
            reject(new NoAnswer(`${api}: no answer`));
          });
        });
      }
    });
  }

  /** Kills the process where it has been told to die at this point. */
  springs(life: Life, point: Failpoint | undefined): boolean {
    if (point === undefined || !life.isAlive) return false;
    const trap = this.traps.find(
      (it) => it.point === point && it.times > 0 && it.target === life.name,
    );
    if (!trap) return false;
    trap.times--;
    this.hits.add("fail", point);
    life.kill();
    return true;
  }

  private fateOf(life: Life, request: Request, random: () => number): Fate {
    const pace = () => this.latencyMs * (0.2 + random() + (random() < 0.02 ? 20 * random() : 0));
    const fate: Fate = {
      outMs: pace(),
      backMs: pace(),
      lost: null,
      isCut: false,
      isRefused: false,
    };
    for (const disturbance of this.disturbances) {
      if (!disturbance.hits(life, request) || random() >= disturbance.share) continue;
      this.hits.add(disturbance.how, request.api);
      disturb(fate, disturbance, random);
    }
    return fate;
  }
}

function disturb(fate: Fate, { how, ms }: Disturbance, random: () => number): void {
  switch (how) {
    case "stall":
      fate.outMs += ms;
      break;
    case "delay":
      fate.outMs += (ms * random()) / 2;
      fate.backMs += (ms * random()) / 2;
      break;
    case "lose-request":
      fate.lost = "request";
      fate.isCut ||= random() < 0.5;
      break;
    case "lose-answer":
      fate.lost ??= "answer";
      fate.isCut ||= random() < 0.5;
      break;
    case "swallow-answer":
      fate.lost ??= "answer";
      break;
    case "cut":
      fate.isCut = true;
      if (random() < 0.5) fate.lost = "request";
      break;
    case "refuse":
      fate.isRefused = true;
      break;
  }
}

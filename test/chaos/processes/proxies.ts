import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { plainEnvironment } from "../../../ops/stack/child.ts";
import type { Failpoint, Fault } from "../plan.ts";

export type Disturbance = Extract<Fault, { does: "disturb" }>;
/** What a worker speaks to. */
export type LinkName = Disturbance["link"];

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** Where a proxy listens, and where it passes on what comes. */
export interface Passage {
  readonly link: LinkName;
  readonly listen: Endpoint;
  readonly to: Endpoint;
}

/** The points at which a proxy sees that a worker is: the others are of its own code. */
export type SeenPoint = Exclude<Failpoint, "before:store" | "after:store" | "after:restore">;

/** How many requests have come, and how many of them did not simply pass. */
export interface Counted {
  seen: number;
  hit: number;
}

/** A process that stands between one worker and all that it speaks to. */
export interface Proxies {
  readonly pid: number;
  /** Applies to every request from now on that it is about; `seed` decides who is hit where not all are. */
  disturb(fault: Disturbance, seed: number): Promise<void>;
  /** Ends it; tells how many requests it has hit. */
  settle(fault: Disturbance): Promise<number>;
  /**
   * The next time that the worker comes to this point, `kill` is called, and then the request (before) or its
   * answer (after) is dropped with the connection: nothing of it gets through. Once.
   */
  failAt(point: SeenPoint, kill: () => void): Promise<Failing>;
  /** Ends every connection, as a server does with idle ones. */
  hangUp(): Promise<void>;
  /** What has come so far, by name ("EndTxn", "COMMIT", "GET"), and how many of them were disturbed. */
  counts(): Promise<Readonly<Record<string, Counted>>>;
  close(): Promise<void>;
}

export interface Failing {
  /** Resolves when `kill` was called. */
  readonly reached: Promise<void>;
  /** The worker never comes there: forget it. */
  cancel(): Promise<void>;
}

export interface ProxyOptions {
  readonly passages: readonly Passage[];
  /** `NetworkHost.enter` of the worker's host; nothing: on the machine itself. */
  readonly enter: readonly string[];
}

/** What a worker asks for there, and whether it dies before that is done or after. */
export const seenAt: Readonly<
  Record<SeenPoint, { readonly link: LinkName; readonly name: string; readonly when: When }>
> = {
  "before:open-writer": { link: "kafka", name: "InitProducerId", when: "before" },
  "after:open-writer": { link: "kafka", name: "InitProducerId", when: "after" },
  "before:transaction": { link: "kafka", name: "AddPartitionsToTxn", when: "before" },
  "after:produce": { link: "kafka", name: "Produce", when: "after" },
  "after:send-offsets": { link: "kafka", name: "TxnOffsetCommit", when: "after" },
  "before:end-transaction": { link: "kafka", name: "EndTxn", when: "before" },
  "after:end-transaction": { link: "kafka", name: "EndTxn", when: "after" },
  "before:view-commit": { link: "postgres", name: "COMMIT", when: "before" },
  "after:view-commit": { link: "postgres", name: "COMMIT", when: "after" },
};
type When = "before" | "after";

const program = fileURLToPath(new URL("proxy.ts", import.meta.url));

/** Asked of the process, each answered by `Told` with its number. */
export type Asked = { readonly n: number } & (
  | { readonly do: "open"; readonly passage: Passage }
  | {
      readonly do: "disturb";
      readonly key: string;
      readonly fault: Disturbance;
      readonly seed: number;
    }
  | { readonly do: "settle" | "unwatch" | "killed"; readonly key: string }
  | {
      readonly do: "watch";
      readonly key: string;
      readonly link: LinkName;
      readonly name: string;
      readonly when: When;
    }
  | { readonly do: "hang up" | "count" }
);
type WithoutNumber<T> = T extends unknown ? Omit<T, "n"> : never;

export type Told =
  | { readonly n: number; readonly failure: string | null; readonly result: unknown }
  | { readonly reached: string };

/**
 * Comes back when it listens everywhere. It ends by itself when this process does.
 * @throws Error where it cannot listen
 */
export async function startProxies({ passages, enter }: ProxyOptions): Promise<Proxies> {
  const [command, ...args] = [...enter, process.execPath, program] as const;
  const child = spawn(command, args, {
    env: plainEnvironment(process.env),
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  await once(child, "spawn");
  const control = new Control(child);
  for (const passage of passages) await control.ask({ do: "open", passage });

  const keys = new Map<Disturbance, string>();
  let last = 0;
  return {
    pid: child.pid ?? 0,
    async disturb(fault, seed) {
      const key = String(last++);
      keys.set(fault, key);
      await control.ask({ do: "disturb", key, fault, seed });
    },
    async settle(fault) {
      const key = keys.get(fault);
      keys.delete(fault);
      return key === undefined ? 0 : ((await control.ask({ do: "settle", key })) as number);
    },
    async failAt(point, kill) {
      const key = String(last++);
      const reached = control.whenReached(key, kill);
      await control.ask({ do: "watch", key, ...seenAt[point] });
      return {
        reached,
        cancel: async () => {
          await control.ask({ do: "unwatch", key });
        },
      };
    },
    async hangUp() {
      await control.ask({ do: "hang up" });
    },
    async counts() {
      return (await control.ask({ do: "count" })) as Readonly<Record<string, Counted>>;
    },
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, "exit");
      child.kill();
      await gone;
    },
  };
}

/** The two sides of the talk with a proxy's process. */
class Control {
  private readonly child: ChildProcess;
  private readonly waiting = new Map<
    number,
    { readonly done: (result: unknown) => void; readonly failed: (error: Error) => void }
  >();
  private readonly atPoint = new Map<string, () => void>();
  private last = 0;

  constructor(child: ChildProcess) {
    this.child = child;
    child.on("message", (message) => {
      this.hear(message as Told);
    });
    child.once("exit", () => {
      for (const { failed } of this.waiting.values()) failed(new Error("The proxies have ended"));
      this.waiting.clear();
    });
  }

  ask(asked: WithoutNumber<Asked>): Promise<unknown> {
    return new Promise((done, failed) => {
      const n = this.last++;
      this.waiting.set(n, { done, failed });
      this.child.send({ ...asked, n }, (error) => {
        if (error !== null) failed(error);
      });
    });
  }

  whenReached(key: string, kill: () => void): Promise<void> {
    return new Promise((resolve) => {
      this.atPoint.set(key, () => {
        kill();
        void this.ask({ do: "killed", key });
        resolve();
      });
    });
  }

  private hear(told: Told): void {
    if ("reached" in told) {
      this.atPoint.get(told.reached)?.();
      this.atPoint.delete(told.reached);
      return;
    }
    const { done, failed } = this.waiting.get(told.n) ?? {};
    this.waiting.delete(told.n);
    if (told.failure === null) done?.(told.result);
    else failed?.(new Error(told.failure));
  }
}

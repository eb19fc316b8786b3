import type { Fault, Plan } from "../chaos/plan.ts";
import { Bank } from "./bank.ts";
import { check } from "./check.ts";
import { Hits } from "./hits.ts";
import { Idleness } from "./idleness.ts";
import { Kernel } from "./kernel.ts";
import { loadOf, Records } from "./load.ts";
import { Nemesis } from "./nemesis.ts";
import { shapeOf } from "./shape.ts";

/** What became of one plan. */
export interface Simulated {
  readonly seed: number;
  /** A line each; none where every invariant holds and the bank came to rest. */
  readonly violations: readonly string[];
  /** The same for the same plan. */
  readonly trace: number;
  readonly virtualMs: number;
  readonly events: number;
  readonly commands: number;
  readonly hits: Hits;
}

/** So many things happen in a run at most, and so many more for each command; then it is said never to end. */
const mostEvents = { run: 300_000, command: 500 } as const;
/** A process that was asked to end has so long, in milliseconds. */
const graceMs = 60_000;
/** A process that died is started again after so long, in milliseconds. */
const superviseMs = 1_000;

/**
 * Runs a plan: load and faults, then everything is healed, then it must come to rest, then it is judged.
 * @throws CannotSimulate where the plan asks for what no simulator can do
 */
export async function simulate(plan: Plan): Promise<Simulated> {
  const kernel = new Kernel(plan.seed);
  const hits = new Hits();
  const shape = shapeOf(kernel);
  const bank = await Bank.open(kernel, shape, hits);
  const commands = loadOf(plan, kernel, shape.clients);
  const run = new Run(plan, bank, commands);
  const driven: { found?: readonly string[]; failure?: unknown } = {};
  void run.drive().then(
    (found) => (driven.found = found),
    (error: unknown) => (driven.failure = error),
  );
  const isOver = () => "found" in driven || "failure" in driven;
  const most = mostEvents.run + commands.length * mostEvents.command;
  const ended = await kernel.run(isOver, most);
  for (const name of bank.lives.keys()) bank.kill(name);
  if ("failure" in driven) throw driven.failure as Error;
  return {
    seed: plan.seed,
    violations: driven.found ?? [`REST: ${run.stuck(ended)}`],
    trace: kernel.trace,
    virtualMs: kernel.time,
    events: kernel.events,
    commands: commands.length,
    hits,
  };
}

class Run {
  private readonly plan: Plan;
  private readonly bank: Bank;
  private readonly commands: ReturnType<typeof loadOf>;
  private readonly idleness: Idleness;
  private readonly nemesis: Nemesis;
  private readonly workers: readonly string[];
  private isSupervised = true;
  private sent = 0;

  constructor(plan: Plan, bank: Bank, commands: ReturnType<typeof loadOf>) {
    this.plan = plan;
    this.bank = bank;
    this.commands = commands;
    this.idleness = new Idleness(bank, () => this.isQuiet());
    this.nemesis = new Nemesis(bank, this.idleness);
    const names = (kind: string, count: number) =>
      Array.from({ length: count }, (_, i) => `${kind}/${i + 1}`);
    this.workers = [
      ...["account", "balances", "statements"].flatMap((kind) =>
        names(kind, plan.workers[kind] ?? 0),
      ),
      ...names("client", bank.shape.clients),
    ];
  }

  async drive(): Promise<readonly string[]> {
    const { bank, plan } = this;
    const { kernel } = bank;
    for (const name of this.workers) bank.start(name);
    this.supervise();
    for (const fault of plan.faults) {
      this.validate(fault);
      kernel.at(fault.at, `${fault.id} begins`, () => {
        this.nemesis.begin(fault);
        kernel.at(fault.for, `${fault.id} ends`, () => {
          this.nemesis.end(fault);
        });
      });
    }
    if (plan.faults.some(({ does }) => does === "restore-old-store")) this.backUp();
    await this.load();
    const last = Math.max(0, ...plan.faults.map((it) => it.at + it.for));
    if (kernel.time < last) await this.sleep(last - kernel.time);
    this.nemesis.heal();
    if (plan.expects !== "survives") return this.judgeRefusal();
    const isResting = await this.rest(plan.quiesceMs);
    if (!isResting) return [`REST: ${this.stuck("late")}`, ...this.said()];
    const ended = await this.end();
    return [...ended, ...this.said(), ...(await check(bank, this.idleness))];
  }

  /** What it still waited for. */
  stuck(why: "over" | "deadlock" | "endless" | "late"): string {
    const { bank } = this;
    const behind = [bank.topics.commands, bank.topics.events].flatMap((topic) =>
      bank.partitionsOf(topic).map((of) => {
        const { stable, end } = bank.log.bounds(of);
        return `${of.topic}/${of.partition} ${stable}/${end}`;
      }),
    );
    const views = bank.projections.flatMap(({ name }) =>
      bank
        .partitionsOf(bank.topics.events)
        .map((at) => `${name}/${at.partition} ${bank.database.position(name, at)}`),
    );
    const doing = [...bank.lives].map(
      ([name, life]) =>
        `${name} ${life.isAlive ? [...life.phases.values(), ...life.waitsFor.values()].join("+") : "dead"}`,
    );
    return `${why} at ${Math.round(bank.kernel.time)} ms, ${bank.unanswered} commands unanswered; ${[...behind, ...views].join(", ")}; ${doing.join(", ")}`;
  }

  /** A plan that cannot be simulated is refused before anything happens. */
  private validate(fault: Fault): void {
    if (fault.at + fault.for > 24 * 60 * 60 * 1000) throw new Error(`${fault.id} takes too long`);
  }

  private async load(): Promise<void> {
    const { bank, commands, idleness } = this;
    const records = new Records(bank, bank.kernel);
    const firstSent = new Map<number, number>();
    for (const command of commands) {
      const wait = command.at - bank.kernel.time;
      if (wait > 0) await this.sleep(wait);
      while (idleness.isWanted) await this.sleep(500);
      const weeks = firstSent.get(command.of) ?? idleness.count;
      firstSent.set(command.of, weeks);
      const { what } = command;
      // Such an id is protected within the window only, and the week has taken that.
      if (weeks < idleness.count && what.kind === "command" && what.id === "bare") continue;
      const name = `client/${command.client + 1}`;
      const now = bank.lives.get(name)?.clock.now() ?? bank.kernel.now();
      bank.send(name, { number: command.number, record: records.of(command, now) });
      this.sent++;
    }
    await this.sleep(Math.max(0, this.plan.load.for - bank.kernel.time));
    while (idleness.isWanted) await this.sleep(500);
  }

  /** Starts again what has died, as docker or systemd does. */
  private supervise(): void {
    if (!this.isSupervised) return;
    for (const name of this.workers) {
      if (this.bank.isRunning(name) || this.nemesis.down.has(name)) continue;
      if (!this.bank.endings.some((ending) => ending.name === name)) this.bank.start(name);
    }
    this.bank.kernel.at(superviseMs, "supervisor", () => {
      this.supervise();
    });
  }

  /** Copies of the disks, one of which may come back. */
  private backUp(): void {
    const { disks, kernel } = this.bank;
    for (const name of this.workers) if (name.startsWith("account")) disks.copy(name);
    kernel.at(3_000, "backup", () => {
      this.backUp();
    });
  }

  private isAtRest(): boolean {
    const { bank, idleness } = this;
    if (bank.unanswered > 0 || bank.wire.undelivered > 0) return false;
    const { commands, events, replies, snapshots, dlq } = bank.topics;
    for (const topic of [commands, events, replies, snapshots, dlq]) {
      for (const at of bank.partitionsOf(topic)) {
        const { stable, end } = bank.log.bounds(at);
        if (stable < end) return false;
        if (topic !== events) continue;
        for (const { name } of bank.projections) {
          if (bank.database.position(name, at) < end) return false;
        }
      }
    }
    return bank.partitionsOf(commands).every(({ partition }) => {
      const count = (topic: string) => idleness.ever({ topic, partition }).length;
      return count(commands.name) === count(replies.name);
    });
  }

  /** At rest, and everybody is there. */
  private isQuiet(): boolean {
    if (this.bank.wire.disturbances.size > 0 || !this.isAtRest()) return false;
    return this.workers.every((name) => {
      const life = this.bank.lives.get(name);
      if (life?.isAlive !== true || life.isPaused) return false;
      return [...life.phases.values()].every((it) => it === "working" || it === "projecting");
    });
  }

  /** Everybody is asked to end, and must. */
  private async end(): Promise<readonly string[]> {
    const { bank } = this;
    this.isSupervised = false;
    const names = [...bank.lives.keys()].filter((name) => bank.isRunning(name));
    const left = new Set(names);
    for (const name of names) void bank.stop(name).then(() => left.delete(name));
    await this.until(() => left.size === 0, graceMs);
    return left.size === 0
      ? []
      : [`STOP: ${[...left].join(", ")} did not end within ${graceMs} ms`];
  }

  private judgeRefusal(): readonly string[] {
    const { expects } = this.plan;
    if (this.bank.endings.some(({ code }) => code === expects)) return [];
    return [`${expects}: no worker refused to go on with it`, ...this.said()];
  }

  /** Processes that ended by themselves. */
  private said(): readonly string[] {
    return this.bank.endings.map(({ name, code, message }) => `${code}: ${name}: ${message}`);
  }

  /** As long as clients get answers it is on its way: in a slow bank many commands may stand behind each other. */
  private async rest(withinMs: number): Promise<boolean> {
    const { bank } = this;
    let left = bank.unanswered;
    while (await this.until(() => this.isAtRest() || bank.unanswered < left, withinMs)) {
      if (this.isAtRest()) return true;
      left = bank.unanswered;
    }
    return false;
  }

  private async until(isSo: () => boolean, withinMs: number): Promise<boolean> {
    const { kernel } = this.bank;
    const deadline = kernel.time + withinMs;
    while (!isSo()) {
      if (kernel.time >= deadline) return false;
      await this.sleep(250);
    }
    return true;
  }

  private sleep(durationMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.bank.kernel.at(durationMs, "driver", resolve);
    });
  }
}

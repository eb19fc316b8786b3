import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { until } from "../../until.ts";
import type { Ending, RunningWorker } from "../system.ts";
import { docker, dockerMust, lastLines, linesOf } from "./docker-command.ts";
import { brokerServices, metricsPort, type Project, workerServices } from "./project.ts";

/** The containers of a project: what each is called in plans, how it is, and what becomes of it. */

export interface Container {
  readonly id: string;
  /** As plans call it: `broker/2`, `postgres`, `account/1`. */
  readonly name: string;
  /** As docker-compose.yml calls it, and as others in its network find it. */
  readonly service: string;
}

interface State {
  readonly isRunning: boolean;
  readonly isPaused: boolean;
  readonly isConnected: boolean;
  /** Where its metrics are published; `null` where they are not. */
  readonly metricsAddress: string | null;
}

interface ContainersOptions {
  readonly project: Project;
  /** Told of each that ended though no fault ended it. */
  readonly onEnding: (text: string) => void;
}

export class Containers {
  readonly all: readonly Container[];
  /** Of workers. What else ends is started again by the engine, and is no promise of ours. */
  readonly endings: Ending[] = [];
  private readonly project: Project;
  private readonly onEnding: (text: string) => void;
  private readonly events: ChildProcess;
  /** Those that a fault has taken down, until they start again. */
  private readonly downByFault = new Set<string>();
  /** Where the metrics of those are that run; a new port at every start. */
  private readonly metrics = new Map<string, string>();
  private readonly following: Promise<void>;

  private constructor({ project, onEnding }: ContainersOptions, all: readonly Container[]) {
    this.project = project;
    this.onEnding = onEnding;
    this.all = all;
    const filters = ["start", "die", "pause", "unpause"].map((it) => `--filter=event=${it}`);
    const label = `--filter=label=com.docker.compose.project=${project.name}`;
    const args = ["events", "--filter=type=container", label, ...filters, "--format={{json .}}"];
    this.events = spawn("docker", args, { stdio: ["ignore", "pipe", "ignore"], detached: true });
    if (this.events.stdout === null) throw new Error("docker events has no output");
    this.following = this.followAll(createInterface(this.events.stdout));
  }

  /** Of a project that is up. */
  static async open(options: ContainersOptions): Promise<Containers> {
    const { project } = options;
    const filter = `label=com.docker.compose.project=${project.name}`;
    const listed = await dockerMust([
      "ps",
      "--all",
      "--no-trunc",
      "--filter",
      filter,
      "--format",
      listFormat,
    ]);
    const all = linesOf(listed).flatMap((line) => {
      const [id = "", service = "", number = ""] = line.split(" ");
      const name = nameOf(service, number);
      return name === null ? [] : [{ id, name, service }];
    });
    const containers = new Containers(options, all);
    for (const it of all) await containers.look(it);
    return containers;
  }

  /**
   * Those that a target of a plan means: one, or all of that kind (`account`, `broker`).
   * @throws Error where there is none
   */
  at(target: string): readonly Container[] {
    const found = this.all.filter(({ name }) => name === target || name.split("/")[0] === target);
    if (found.length > 0) return found;
    const names = this.all.map(({ name }) => name).join(", ");
    throw new Error(`The plan's target "${target}" is none of the containers: ${names}.`);
  }

  workers(): readonly RunningWorker[] {
    return this.all.flatMap(({ id, name }) => {
      const address = this.metrics.get(id);
      return address === undefined ? [] : [{ name, metricsUrl: `http://${address}/metrics` }];
    });
  }

  /** Comes back when it is dead: where the machine is busy, after the engine has given up waiting for that. */
  async kill(container: Container): Promise<void> {
    const { id, name } = container;
    this.downByFault.add(id);
    const { code, stderr } = await docker(["kill", "--signal", "KILL", id]);
    if (code === 0) return;
    try {
      await until(`${name} to die`, async () => !(await this.stateOf(container)).isRunning, {
        deadlineMs: 60_000,
        everyMs: 500,
      });
    } catch (cause) {
      throw new Error(`${name} cannot be killed: ${stderr.trim()}`, { cause });
    }
  }

  /** As a deploy does it, with the time that docker-compose.yml gives each to end in order. */
  async stop({ id }: Container): Promise<void> {
    this.downByFault.add(id);
    await dockerMust(["stop", id]);
  }

  /** Nothing where it runs already. */
  async start({ id }: Container): Promise<void> {
    await dockerMust(["start", id]);
  }

  /** Some kernels do not freeze a process that is starting others just then: it is tried again. */
  async pause({ id, name }: Container): Promise<void> {
    let said = "";
    const attempt = async () => {
      const { code, stderr } = await docker(["pause", id]);
      said = stderr.trim();
      return code === 0;
    };
    try {
      await until(`${name} to be paused`, attempt, { deadlineMs: 10_000 });
    } catch (cause) {
      throw new Error(`${name} cannot be paused: ${said}`, { cause });
    }
  }

  async unpause(container: Container): Promise<void> {
    if ((await this.stateOf(container)).isPaused) await dockerMust(["unpause", container.id]);
  }

  async disconnect({ id }: Container): Promise<void> {
    this.metrics.delete(id);
    await dockerMust(["network", "disconnect", this.project.network, id]);
  }

  /** Under the name by which the others know it; its address is another one. */
  async connect(container: Container): Promise<void> {
    const { id, service } = container;
    const { isConnected } = await this.stateOf(container);
    const { network } = this.project;
    if (!isConnected) await dockerMust(["network", "connect", "--alias", service, network, id]);
    await this.look(container);
  }

  /** Whatever was done to it: it is connected, not paused, and runs. */
  async mend(container: Container): Promise<void> {
    await this.connect(container);
    await this.unpause(container);
    await this.start(container);
  }

  /** Resolves when everything that has happened until now is known. */
  async close(): Promise<void> {
    this.events.kill();
    await this.following;
  }

  /** Each event after the one before. */
  private async followAll(lines: AsyncIterable<string>): Promise<void> {
    for await (const line of lines) {
      try {
        await this.follow(line);
      } catch {
        // Somebody has removed the container: it is not running, and a heal that finds none says so.
      }
    }
  }

  private async follow(line: string): Promise<void> {
    const { id, status, time, Actor } = JSON.parse(line) as DockerEvent;
    const container = this.all.find((it) => it.id === id);
    if (container === undefined) return;
    if (status !== "die") {
      if (status === "start") this.downByFault.delete(id);
      await this.look(container);
      return;
    }
    this.metrics.delete(id);
    const isWanted = this.downByFault.has(id);
    const how = Number(Actor.Attributes["exitCode"] ?? "1");
    if (!isWanted) this.onEnding(`${container.name} ended by itself with ${how}`);
    if (!workerServices.some((it) => it === container.service)) return;
    const { stdout, stderr } = await docker(["logs", "--tail", "8", id]);
    const said = lastLines(stdout + stderr, 8);
    this.endings.push({ t: time * 1_000, name: container.name, how, isWanted, said });
  }

  private async look(container: Container): Promise<void> {
    const { isRunning, isPaused, metricsAddress } = await this.stateOf(container);
    const isUp = isRunning && !isPaused && metricsAddress !== null;
    if (isUp) this.metrics.set(container.id, metricsAddress);
    else this.metrics.delete(container.id);
  }

  private async stateOf({ id }: Container): Promise<State> {
    const text = await dockerMust([
      "inspect",
      "--format",
      "{{json .State}}\n{{json .NetworkSettings}}",
      id,
    ]);
    const [state = "", network = ""] = text.split("\n");
    const { Running, Paused } = JSON.parse(state) as { Running: boolean; Paused: boolean };
    const { Ports, Networks } = JSON.parse(network) as InspectedNetwork;
    const [published] = Ports[metricsPort] ?? [];
    return {
      isRunning: Running,
      isPaused: Paused,
      isConnected: Object.hasOwn(Networks, this.project.network),
      metricsAddress: published === undefined ? null : `${published.HostIp}:${published.HostPort}`,
    };
  }
}

interface DockerEvent {
  readonly id: string;
  readonly status: "start" | "die" | "pause" | "unpause";
  /** Seconds. */
  readonly time: number;
  readonly Actor: { readonly Attributes: Readonly<Record<string, string>> };
}

interface InspectedNetwork {
  readonly Ports: Readonly<
    Record<string, readonly { readonly HostIp: string; readonly HostPort: string }[] | null>
  >;
  readonly Networks: Readonly<Record<string, unknown>>;
}

const listFormat = [
  "{{.ID}}",
  `{{.Label "com.docker.compose.service"}}`,
  `{{.Label "com.docker.compose.container-number"}}`,
].join(" ");

/** What plans call it; `null` for what runs once and ends. */
function nameOf(service: string, number: string): string | null {
  const broker = brokerServices.findIndex((it) => it === service);
  if (broker !== -1) return `broker/${broker + 1}`;
  if (service === "postgres" || service === "registry") return service;
  return workerServices.some((it) => it === service) ? `${service}/${number}` : null;
}

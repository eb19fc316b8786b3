import { randomInt } from "node:crypto";
import { connect, createServer } from "node:net";
import { portHolder } from "./port-holder.ts";
import { SetupError } from "./setup-error.ts";

/** A port that something of ours will listen on. */
export interface PortClaim {
  readonly port: number;
  /** Who wants it, for example "Kafka". */
  readonly owner: string;
  /** The environment variable that moves it. */
  readonly setting: string;
}

/**
 * Checks that every port is free on 127.0.0.1.
 * @throws SetupError that names each taken port, who wants it, who has it, and the setting that moves it
 */
export async function requireFree(claims: readonly PortClaim[], dir: string): Promise<void> {
  const taken: PortClaim[] = [];
  for (const claim of claims) if (!(await isFree(claim.port))) taken.push(claim);
  const [first] = taken;
  if (first === undefined) return;

  const lines = taken.map(({ port, owner, setting }) => {
    const holder = portHolder(port, dir);
    return `port ${port}, for ${owner} (${setting}), is held by ${holder}`;
  });
  // Several workers take theirs from one setting, each its place after it.
  const moved = new Map(taken.toReversed().map(({ port, setting }) => [setting, elsewhere(port)]));
  const settings = [...moved].map(([setting, port]) => `${setting}=${port}`).join(" ");
  throw new SetupError(
    taken.length === 1 ? `A port is taken: ${String(lines[0])}.` : "Ports are taken:",
    {
      next: `Stop what holds it, or choose another: ${settings} npm start`,
      evidence: taken.length === 1 ? [] : lines,
    },
  );
}

function elsewhere(port: number): number {
  return port < 50_000 ? port + 10_000 : port - 10_000;
}

/**
 * Ports that nobody listens on now. They lie below the range from which systems take the ports of outgoing
 * connections, so that none of those takes one of them before it is used.
 */
export async function freePorts(count: number): Promise<readonly number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = randomInt(15_000, 32_000);
    if (!ports.has(port) && (await isFree(port))) ports.add(port);
  }
  return [...ports];
}

export async function isFree(port: number): Promise<boolean> {
  // Some systems let 127.0.0.1 be bound while another listens on all addresses: knocking finds that one.
  return (await canListen(port)) && !(await isAnswered(port));
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => {
      resolve(false);
    });
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => {
      server.close(() => {
        resolve(true);
      });
    });
  });
}

/** Whether somebody listens there, found out without taking the port for even a moment. */
export function isAnswered(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    const done = (answered: boolean) => {
      socket.destroy();
      resolve(answered);
    };
    socket.once("connect", () => {
      done(true);
    });
    socket.once("error", () => {
      done(false);
    });
  });
}

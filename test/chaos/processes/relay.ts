import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { plainEnvironment } from "../../../ops/stack/child.ts";

const program = fileURLToPath(new URL("relay-main.ts", import.meta.url));

/** A process that passes on, byte for byte, what comes to one address to the same port of 127.0.0.1. */
export interface Relay {
  /** Comes back when it listens there. */
  open(address: string, port: number): Promise<void>;
  close(): void;
}

/** It ends by itself when this process does. */
export async function startRelay(): Promise<Relay> {
  const child = fork(program, [], { env: plainEnvironment(process.env), execArgv: [] });
  await once(child, "spawn");
  child.unref();
  child.channel?.unref();
  return {
    async open(address, port) {
      child.channel?.ref();
      const answered = once(child, "message") as Promise<[{ readonly failure: string | null }]>;
      child.send({ address, port });
      const [{ failure }] = await answered;
      child.channel?.unref();
      if (failure !== null) throw new Error(`Nothing can listen at ${address}:${port}: ${failure}`);
    },
    close: () => {
      child.kill();
    },
  };
}

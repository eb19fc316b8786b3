/** The process of `relay.ts`: told by messages where to listen, it passes on to that port of 127.0.0.1. */
import { once } from "node:events";
import { connect, createServer } from "node:net";

process.on("message", (message) => void listen(message as Where));
process.on("disconnect", () => process.exit());

interface Where {
  readonly address: string;
  readonly port: number;
}

async function listen({ address, port }: Where): Promise<void> {
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
    const served = connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
    for (const [one, other] of [
      [client, served],
      [served, client],
    ] as const) {
      // As if they spoke to each other directly.
      one.on("error", () => other.resetAndDestroy());
      one.on("close", () => {
        other.destroySoon();
      });
      one.pipe(other);
    }
  });
  try {
    server.listen(port, address);
    await once(server, "listening");
    process.send?.({ failure: null });
  } catch (error) {
    process.send?.({ failure: error instanceof Error ? error.message : String(error) });
  }
}

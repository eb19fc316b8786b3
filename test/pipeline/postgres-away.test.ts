import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { topics } from "../../topics/catalog.ts";
import { seen } from "../bank.ts";
import { endsOf, readAll } from "../log-reads.ts";
import { until } from "../until.ts";
import { type Bank, openBank } from "./bank-processes.ts";

/** Postgres is away for a while: the write side does not care, and the views catch up by themselves. */

const { account } = topics;
/** A projector's longest pause between two tries is ten seconds; a busy machine may need as long for the rest. */
const noticedWithinMs = 25_000;
let bank: Bank;

beforeAll(async () => {
  bank = await openBank();
});
afterAll(async () => {
  await bank.close();
});

/** Passes everything on to Postgres, until it goes away. */
async function relay(): Promise<{
  url: string;
  leave(): Promise<void>;
  comeBack(): Promise<void>;
}> {
  const target = new URL(inject("databaseUrl"));
  const sockets = new Set<Socket>();
  const serve = async (port: number): Promise<Server> => {
    const server = createServer((client) => {
      const upstream = connect(Number(target.port), target.hostname);
      for (const [socket, other] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        sockets.add(socket);
        socket.on("error", () => undefined); // Being cut is what it is for.
        socket.on("close", () => other.destroy());
        socket.pipe(other);
      }
    });
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    return server;
  };
  let server = await serve(0);
  const { port } = server.address() as AddressInfo;
  const url = new URL(target);
  url.port = String(port);
  return {
    url: url.href,
    leave: async () => {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
    comeBack: async () => {
      server = await serve(port);
    },
  };
}

/** Accounts are opened, and every command is accepted. */
async function openAccounts(count: number): Promise<void> {
  const run = randomUUID().slice(0, 8);
  const commands = Array.from({ length: count }, (_, i) => {
    const accountId = `${run}-${i}`;
    return bank.command("OpenAccount", { commandId: accountId, accountId, owner: "Ada" });
  });
  const from = await endsOf(bank.log, account.replies);
  const producer = await bank.log.openProducer();
  await producer.send(commands);
  await producer.close();
  await until(`${count} commands to be accepted`, async () => {
    let accepted = 0;
    for (const [partition, start] of from.entries()) {
      const of = { topic: account.replies.name, partition };
      const records = await readAll(bank.log, of, start);
      const replies = seen(bank.codec, account.replies, records);
      accepted += replies.filter(({ key, data }) => {
        return key.startsWith(run) && data["outcome"] === "accepted";
      }).length;
    }
    return accepted === count;
  });
}

test(
  "commands are accepted meanwhile, and the view has all of them seconds after it is back",
  { timeout: 150_000 },
  async () => {
    const postgres = await relay();
    const writer = await bank.start(["account"], bank.stateDir());
    const options = { databaseUrl: postgres.url };
    const view = await bank.start(["balances"], bank.stateDir(), options);
    const lag = () => view.metric("foldlog_projection_lag_events");
    const retries = () => view.metric("foldlog_projection_retries_total");
    await openAccounts(20);
    await until("the view to have them", async () => (await lag()) === 0);

    await postgres.leave();
    await openAccounts(50);
    // Long enough for the pauses between the tries to have grown: 0.1 s, 0.2 s, and so on.
    await until("every partition to have tried seven times", async () => (await retries()) > 80, {
      deadlineMs: 60_000,
    });
    expect(await lag()).toBeGreaterThan(0);
    await openAccounts(50);
    expect(view.child.exitCode).toBeNull();

    await postgres.comeBack();
    const backAt = Date.now();
    await until("the view to have all", async () => (await lag()) === 0);
    expect(Date.now() - backAt).toBeLessThan(noticedWithinMs);
    for (const it of [writer, view]) it.kill("SIGTERM");
    expect([await writer.ended, await view.ended]).toEqual([0, 0]);
    await postgres.leave();
  },
);

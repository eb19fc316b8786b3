import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";
import { parseArgs } from "node:util";

/**
 * Commands over HTTP at a fixed rate, each waited for: how long the answers take, and what they are. Open loop:
 * a command is due at its time whether or not earlier ones were answered, and its latency counts from then, so
 * a server that stalls does not slow down the clock that measures it (Tene, "How NOT to measure latency").
 */
const help = `\
npm run -s bench:http -- [--url URL] [--rate 500] [--for 60] [--accounts 200]

Sends DepositFunds at the rate (a second) for so many seconds to the gateway at URL (FOLDLOG_API_URL where it is
not given), on accounts that it opens first, and prints what was answered with p50, p99 and the greatest latency
in milliseconds. Exits with 1 unless every command was accepted.
`;

const { values } = parseArgs({
  options: {
    url: { type: "string", default: process.env["FOLDLOG_API_URL"] ?? "http://127.0.0.1:8080" },
    rate: { type: "string", default: "500" },
    for: { type: "string", default: "60" },
    accounts: { type: "string", default: "200" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) process.stdout.write(help);
else await run(values.url, Number(values.rate), Number(values.for), Number(values.accounts));

async function run(url: string, rate: number, seconds: number, accounts: number): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1_000 });
  const run = Date.now().toString(36);
  const idOf = (n: number) => `bench-${run}-${n % accounts}`;
  const post = async (type: string, fields: object): Promise<number> => {
    const headers = { "content-type": "application/json" };
    const asking = request(`${url}/commands/${type}?waitMs=30000`, {
      method: "POST",
      agent,
      headers,
    });
    asking.end(Buffer.from(JSON.stringify(fields)));
    const [response] = (await once(asking, "response")) as [IncomingMessage];
    response.resume();
    await once(response, "end");
    return response.statusCode ?? 0;
  };
  for (let n = 0; n < accounts; n++)
    await post("OpenAccount", { accountId: idOf(n), owner: "Bench" });

  const total = rate * seconds;
  const latencies: number[] = [];
  const statuses = new Map<string, number>();
  const startedAt = performance.now();
  const sends: Promise<void>[] = [];
  const send = async (n: number) => {
    const dueAt = startedAt + (n * 1000) / rate;
    const status = await post("DepositFunds", { accountId: idOf(n), amountCents: 1 }).then(
      String,
      (error: unknown) => (error as NodeJS.ErrnoException).code ?? "error",
    );
    latencies.push(performance.now() - dueAt);
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
  };
  for (let sent = 0; sent < total;) {
    const due = Math.floor(((performance.now() - startedAt) / 1000) * rate);
    for (; sent < Math.min(due, total); sent++) sends.push(send(sent));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(sends);
  agent.destroy();

  latencies.sort((a, b) => a - b);
  const at = (share: number) =>
    (latencies[Math.ceil(share * latencies.length) - 1] ?? Number.NaN).toFixed(1);
  const rows = [...statuses].map(([status, count]) => `${status}: ${count}`).join(", ");
  process.stdout.write(
    `${total} commands at ${rate}/s: ${rows}\nlatency in ms: p50 ${at(0.5)}, p99 ${at(0.99)}, max ${at(1)}\n`,
  );
  if (statuses.get("200") !== total) process.exitCode = 1;
}

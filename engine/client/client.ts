import { type Clock, systemClock } from "../clock.ts";
import type { Connection } from "./connection.ts";
import { ownWrites } from "./own-writes.ts";
import type { Transport } from "./transport.ts";

/** What a client reaches: aggregates by the functions that are generated for them, and views by `view`. */
export interface Served {
  readonly aggregates?: Readonly<Record<string, (connection: Connection) => object>>;
  readonly views?: Readonly<Record<string, (connection: Connection, name: string) => object>>;
}

/** `bank.account.openAccount(…)`, `bank.views.balances.get(…)`. */
export type Client<S extends Served> = {
  readonly [N in keyof S["aggregates"]]: S["aggregates"][N] extends (...of: never) => infer A
    ? A
    : never;
} & {
  readonly views: {
    readonly [N in keyof S["views"]]: S["views"][N] extends (...of: never) => infer V ? V : never;
  };
};

export interface ClientOptions {
  /** Time and chance, for tests. */
  readonly clock?: Clock;
}

/**
 * A client for an application, over HTTP or straight to Kafka alike:
 *
 *     const bank = client(overHttp("http://127.0.0.1:8080"), {
 *       aggregates: { account: accountClient<AccountRejection> },
 *       views: { balances: view<Balance> },
 *     });
 *     const answer = await bank.account.depositFunds({ accountId: "ada", amountCents: 500 });
 *     const balance = await bank.views.balances.get("ada"); // With the 500 in it.
 *
 * A command is sent again, with the same id, until it is answered or the time is over; so it is done once. What
 * this client has written, it reads: it remembers the newest token of each of the last 1,000 aggregates that it
 * has written, and hands it to reads. Holds nothing that needs closing; who opened the transport closes it.
 */
export function client<const S extends Served>(
  transport: Transport,
  served: S,
  { clock = systemClock }: ClientOptions = {},
): Client<S> {
  const connection: Connection = { transport, clock, writes: ownWrites() };
  const aggregates = Object.entries(served.aggregates ?? {}).map(
    ([name, open]) => [name, open(connection)] as const,
  );
  const views = Object.entries(served.views ?? {}).map(
    ([name, open]) => [name, open(connection, name)] as const,
  );
  return { ...Object.fromEntries(aggregates), views: Object.fromEntries(views) } as Client<S>;
}

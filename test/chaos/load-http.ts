import { partitionOf } from "../../engine/message.ts";
import { readToken } from "../../engine/gateway/token.ts";
import { topics } from "../../topics/catalog.ts";
import type { CommandResult } from "./history.ts";
import type { DrawnCommand } from "./load-commands.ts";
import type { History } from "./load-history.ts";
import { fieldsOf } from "./load-records.ts";

/** Clients of the gateway: each sends a command, and reads with the token of its answer. */

export interface HttpClients {
  /** Resolves nothing: what comes of it is in the history. */
  send(command: DrawnCommand): void;
  waiting(): number;
  /** Cuts off what still waits. */
  close(): Promise<void>;
}

export interface HttpClientsOptions {
  /** Of the gateway. */
  readonly url: string;
  readonly history: History;
  readonly answerMs: number;
  /** `null`: nobody knows. */
  readonly answered: (command: DrawnCommand, result: CommandResult | null) => void;
}

const era = 1;
const waitMs = 10_000;

export function openHttpClients(options: HttpClientsOptions): HttpClients {
  const closing = new AbortController();
  const under = new Set<Promise<void>>();
  return {
    send: (command) => {
      const work: Promise<void> = converse(options, command, closing.signal).finally(() =>
        under.delete(work),
      );
      under.add(work);
    },
    waiting: () => under.size,
    close: async () => {
      closing.abort();
      await Promise.all(under);
    },
  };
}

type Body = Readonly<Record<string, unknown>>;

/** One client's life: a command, then a read where it was accepted. */
async function converse(
  options: HttpClientsOptions,
  command: DrawnCommand,
  closing: AbortSignal,
): Promise<void> {
  const { history, answered } = options;
  const process = history.borrowProcess();
  const { commandId, accountId: aggregateId, expectedVersion } = command;
  const about = { process, aggregateId, f: "command", commandId } as const;
  history.write({ ...about, type: "invoke", expectedVersion });
  const path = `/commands/${command.type}?waitMs=${waitMs}`;
  const body = JSON.stringify(fieldsOf(command));
  const told = await ask(options, { path, body }, closing);
  const answer = told === "never sent" ? "never sent" : meaningOf(told, aggregateId);
  if (answer === "never sent") {
    history.write({ ...about, type: "fail" });
    history.returnProcess(process);
    return;
  }
  if (answer === "unknown") {
    history.write({ ...about, type: "info" });
    answered(command, null);
    return;
  }
  const { result, token } = answer;
  history.write({ ...about, type: "ok", result, ...(token !== null && { token }) });
  answered(command, result);
  if (token === null || (await read(options, { process, aggregateId, token }, closing))) {
    history.returnProcess(process);
  }
}

/** Reads the account's balance, at least as new as the token; whether the client can go on. */
async function read(
  options: HttpClientsOptions,
  { process, aggregateId, token }: Readonly<Record<"process" | "aggregateId" | "token", string>>,
  closing: AbortSignal,
): Promise<boolean> {
  const { history } = options;
  const about = { process, aggregateId, f: "query", token, view: "balances" } as const;
  history.write({ ...about, type: "invoke" });
  const path = `/views/balances/${encodeURIComponent(aggregateId)}?token=${token}`;
  const told = await ask(options, { path, body: null }, closing);
  const isSound = typeof told === "object";
  if (isSound && told.status === 200) {
    history.write({ ...about, type: "ok", version: Number(told.body["version"]) });
  } else if (isSound && told.status === 404) {
    history.write({ ...about, type: "ok", version: 0 });
  } else {
    // Behind, parked, without views or without a gateway: a refusal is always allowed.
    history.write({ ...about, type: "fail" });
  }
  return true;
}

interface Told {
  readonly status: number;
  readonly body: Body;
}

async function ask(
  { url, answerMs }: HttpClientsOptions,
  { path, body }: { readonly path: string; readonly body: string | null },
  closing: AbortSignal,
): Promise<Told | "never sent" | "unknown"> {
  try {
    const signal = AbortSignal.any([closing, AbortSignal.timeout(answerMs)]);
    const post = { method: "POST", headers: { "content-type": "application/json" }, body };
    const response = await fetch(`${url}${path}`, { signal, ...(body !== null && post) });
    const text = await response.text();
    return { status: response.status, body: JSON.parse(text) as Body };
  } catch (error) {
    const { cause } = error as { readonly cause?: { readonly code?: unknown } };
    // Nobody listened, so nobody heard.
    return cause?.code === "ECONNREFUSED" ? "never sent" : "unknown";
  }
}

type Meaning =
  "never sent" | "unknown" | { readonly result: CommandResult; readonly token: string | null };

/** What an answer to a command says of it. */
export function meaningOf(told: Told | "unknown", aggregateId: string): Meaning {
  if (told === "unknown") return "unknown";
  const { body } = told;
  const { outcome } = body;
  if (outcome === "pending") return "unknown";
  if (isOutcome(outcome)) {
    const token = typeof body["token"] === "string" ? body["token"] : null;
    // An answer by HTTP says where its command is by its token alone, and only a yes has one.
    const commandOffset = token === null ? "" : String(readToken(token, era).commandOffset);
    const result: CommandResult = {
      outcome,
      version: typeof body["version"] === "number" ? body["version"] : 0,
      commandOffset,
      partition: partitionOf(aggregateId, topics.account.commands.partitions),
      reason: typeof body["reason"] === "string" ? body["reason"] : null,
      duplicate: body["duplicate"] === true,
    };
    return { result, token };
  }
  const nothingSent: readonly unknown[] = ["NOT_READY", "TOO_MANY_IN_FLIGHT"];
  return nothingSent.includes(body["code"]) ? "never sent" : "unknown";
}

function isOutcome(outcome: unknown): outcome is CommandResult["outcome"] {
  return ["accepted", "rejected", "conflict", "failed"].includes(String(outcome));
}

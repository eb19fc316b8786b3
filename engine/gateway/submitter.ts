import { once } from "node:events";
import { type Clock, systemClock } from "../clock.ts";
import type { Reply } from "../generated.ts";
import type { OutRecord } from "../log.ts";
import { Conversation, type ConversationOptions } from "../sending/conversation.ts";

/** Sends single commands and waits for their replies, each so long as its sender wants to. */

export type Submitted =
  | { readonly kind: "answered"; readonly reply: Reply }
  /** It is in the log at this offset and will be handled; its answer has not come in time. */
  | { readonly kind: "pending"; readonly offset: bigint }
  /** The broker has not said in time whether it took the command: it may be in the log. */
  | { readonly kind: "unknown" }
  /** It was never sent, and will not be. */
  | { readonly kind: "unsent" };

export interface Submitter {
  /** Sent and not answered. */
  readonly inFlight: number;
  /**
   * Resolves with the answer, or after `waitMs` (or when `signal` aborts) with what is known by then.
   * @throws FatalError where nothing can be sent any more
   */
  submit(record: OutRecord, waitMs: number, signal: AbortSignal): Promise<Submitted>;
  /** Resolves when this was closed; rejects with what ended the conversation with the broker before. */
  ended(): Promise<void>;
  close(): Promise<void>;
}

interface Pending {
  readonly record: OutRecord;
  acknowledgedAt: bigint | null;
  readonly acknowledged: () => void;
  answer: (reply: Reply) => void;
}

export type SubmitterOptions = Pick<
  ConversationOptions<Pending>,
  "log" | "codec" | "aggregates" | "onTrouble" | "clock"
>;

/** Positioned at the end of every replies partition before it resolves. */
export async function openSubmitter(options: SubmitterOptions): Promise<Submitter> {
  const clock = options.clock ?? systemClock;
  const conversation = await Conversation.open<Pending>({
    ...options,
    replies: "awaited",
    silenceMs: null,
    onAcknowledged: (pending, offset) => {
      pending.acknowledgedAt = offset;
      pending.acknowledged();
    },
    onAnswer: ({ outgoing, reply }) => {
      outgoing.answer(reply);
    },
  });
  return {
    get inFlight() {
      return conversation.unanswered;
    },
    submit: (record, waitMs, signal) => submit({ conversation, clock }, record, waitMs, signal),
    ended: async () => {
      if (!conversation.signal.aborted) await once(conversation.signal, "abort");
      await conversation.settled(AbortSignal.abort());
    },
    close: () => conversation.close(),
  };
}

/** However short a client waits for its answer, so long it waits to know whether the broker has its command. */
const acknowledgedWithinMs = 2_000;

async function submit(
  { conversation, clock }: { readonly conversation: Conversation<Pending>; readonly clock: Clock },
  record: OutRecord,
  waitMs: number,
  signal: AbortSignal,
): Promise<Submitted> {
  const answered = Promise.withResolvers<Reply>();
  const taken = Promise.withResolvers<null>();
  const done = new AbortController();
  const atMost = async (ms: number, ...unless: readonly AbortSignal[]) => {
    await clock.sleep(ms, conversation.signal, done.signal, ...unless);
    return null;
  };
  const acknowledged = () => {
    taken.resolve(null);
  };
  const pending: Pending = {
    ...{ record, acknowledgedAt: null, acknowledged },
    answer: answered.resolve,
  };
  const ticket = conversation.send(pending);
  let reply = await Promise.race([answered.promise, atMost(waitMs, signal)]);
  // A server that stops waits for this, too: it is a matter of milliseconds, and tells a fact from a guess.
  reply ??= await Promise.race([answered.promise, taken.promise, atMost(acknowledgedWithinMs)]);
  done.abort();
  if (reply !== null) return { kind: "answered", reply };
  const known = conversation.forget(ticket);
  if (known === "unsent") return { kind: "unsent" };
  const { acknowledgedAt: offset } = pending;
  return offset === null ? { kind: "unknown" } : { kind: "pending", offset };
}

import { backOff, brokerBackoff, coordinatorBackoff } from "../backoff.ts";
import { isAborted, systemClock } from "../clock.ts";
import { messageOf, TransientError } from "../errors.ts";
import type { KafkaClient } from "./client.ts";
import { definiteFailure, movedElsewhere, protocolCode } from "./failure.ts";

/**
 * For questions, which change nothing: asks until a broker answers, with a back-off; `null` once `signal`
 * aborts. Gives up at once on what no asking cures, and when the client is closed.
 */
export async function untilAnswered<T>(
  client: KafkaClient,
  what: string,
  ask: () => Promise<T>,
  signal: AbortSignal,
): Promise<T | null> {
  for (let attempt = 0; !signal.aborted; attempt++) {
    try {
      const answer = await ask();
      if (attempt >= worthTelling) client.onWaiting(what, null);
      return answer;
    } catch (error) {
      const failure = definiteFailure(what, error);
      if (failure) throw failure;
      if (client.closed)
        throw new TransientError(`${what}: the client was closed`, { cause: error });
      if (attempt + 1 === worthTelling) client.onWaiting(what, messageOf(error));
      await backOff(brokerBackoff, attempt, systemClock, signal);
      if (!isAborted(signal)) await client.refresh();
    }
  }
  client.onWaiting(what, null);
  return null;
}

/** So many failures in a row are no election any more. */
const worthTelling = 4;

/** How often a coordinator that has a definite reason to wait is asked: for about ten seconds. */
const maxAttempts = 60;

/**
 * For requests that change something: repeats a call only while the answer is one of `codes`, which say
 * that it has had no effect. Every other error, and one too many, leaves by the throw.
 */
export async function untilDefinite<T>(
  client: KafkaClient,
  codes: ReadonlySet<number>,
  call: () => Promise<T>,
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      const answered = protocolCode(error);
      if (answered === null || !codes.has(answered) || attempt >= maxAttempts) throw error;
      if (movedElsewhere(error)) await client.refresh();
    }
    await backOff(coordinatorBackoff, attempt, systemClock);
  }
}

import type { Codec } from "../codec.ts";
import type { Decider, Decision, Message } from "../decider.ts";
import { messageOf } from "../errors.ts";
import type { AnyProjection } from "../projection.ts";
import type { AggregateTopics, Topic } from "../topic.ts";
import { Finding } from "./crash-points-finding.ts";
import { differences, short, told, whole } from "./differences.ts";
import { frozen } from "./frozen.ts";

/** An author's pure functions, watched: whether they are pure, and whether a log can hold what they make. */

type AnyDecider = Decider<object, Message, Message, string>;

/** What is watched through all runs of an exploration. */
export interface Watched {
  readonly topics: AggregateTopics;
  readonly codec: Codec;
  /** Told of the first thing that is not as it must be; whoever was called throws it as well. */
  readonly onFinding: (finding: Finding) => void;
}

/**
 * The same decider, which remembers what it gave for what, in every run: asked again it must give the same. What
 * it is given is frozen; what it makes must come back from the log as it was.
 */
export function watchedDecider(
  decider: AnyDecider,
  { topics, codec, onFinding }: Watched,
): AnyDecider {
  const name = topics.aggregate;
  const decisions = new Map<string, Decision<Message, string>>();
  const states = new Map<string, object>();
  const watching = <T>(call: () => T): T => {
    try {
      return call();
    } catch (error) {
      if (error instanceof Finding) onFinding(error);
      throw error;
    }
  };

  return {
    initialState: frozen(decider.initialState),
    foldVersion: decider.foldVersion,

    decide: (command, state) =>
      watching(() => {
        const on = `${command.type} ${short(command.data)} on ${short(state)}`;
        const ask = () =>
          called(`decide of ${name}`, on, () => decider.decide(frozen(command), frozen(state)));
        const key = keyOf(command, state);
        const decision = frozen(ask());
        mustBeDecision(name, on, decision);
        const before = decisions.get(key) ?? ask();
        decisions.set(key, before);
        mustRepeat(`decide of ${name} gives different answers to ${on}`, before, decision);
        return decision;
      }),

    evolve: (state, event) =>
      watching(() => {
        const on = `${event.type} ${short(event.data)} on ${short(state)}`;
        const fold = (read: Message) =>
          called(`evolve of ${name}`, on, () => decider.evolve(frozen(state), frozen(read)));
        const key = keyOf(event, state);
        const next = frozen(fold(event));
        const before = states.get(key);
        mustRepeat(
          `evolve of ${name} gives different states for ${on}`,
          before ?? fold(event),
          next,
        );
        if (before === undefined) mustBeKept({ name, on, topics, codec }, { event, next, fold });
        states.set(key, next);
        return next;
      }),
  };
}

/** The same projection; the events that it is given are frozen. */
export function watchedProjection(projection: AnyProjection): AnyProjection {
  return {
    ...projection,
    apply(event, rows) {
      const called = `apply of ${projection.name}`;
      try {
        projection.apply(frozen(event), rows);
      } catch (error) {
        throw isWriteToFrozen(error)
          ? new Error(`${called} ${changedWhatItWasGiven(error)}`)
          : error;
      }
    },
  };
}

function keyOf(message: Message, state: object): string {
  return whole([message.type, message.data, state]);
}

function called<T>(what: string, on: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    const why = isWriteToFrozen(error)
      ? changedWhatItWasGiven(error)
      : `threw: ${messageOf(error)}`;
    const mend = what.startsWith("decide")
      ? "A business no is reject(reason); decide never throws."
      : "It must take every event that is in the log, or that decide accepts with.";
    throw new Finding(`${what} ${why}`, [`with ${on}`, ...(isWriteToFrozen(error) ? [] : [mend])], {
      cause: error,
    });
  }
}

function isWriteToFrozen(error: unknown): boolean {
  const refusal = /read only property|object is not extensible|Cannot delete property/;
  return error instanceof TypeError && refusal.test(error.message);
}

function changedWhatItWasGiven(error: unknown): string {
  return `changed what it was given, which is frozen here: ${messageOf(error)}`;
}

function mustBeDecision(name: string, on: string, decision: unknown): void {
  const kind = (decision as { readonly kind?: unknown } | undefined)?.kind;
  if (kind === "accepted" || kind === "rejected") return;
  throw new Finding(`decide of ${name} must return accept(…) or reject(…)`, [
    `with ${on}`,
    `it returned ${short(decision)}`,
  ]);
}

function mustRepeat(headline: string, expected: unknown, found: unknown): void {
  const all = differences(expected, found);
  if (all.length === 0) return;
  throw new Finding(headline, [
    ...told(all),
    "It must give the same for ever: no time, no chance, nothing that is kept outside of the state.",
  ]);
}

interface Folding {
  readonly name: string;
  readonly on: string;
  readonly topics: AggregateTopics;
  readonly codec: Codec;
}

interface Folded {
  readonly event: Message;
  readonly next: object;
  readonly fold: (event: Message) => object;
}

/** What a restore would make of the event, and of the state, must be what the worker has in memory. */
function mustBeKept({ name, on, topics, codec }: Folding, { event, next, fold }: Folded): void {
  const stored = throughLog(codec, topics.events, event, `The event ${event.type} of ${name}`);
  const refolded = differences(next, fold(stored));
  if (refolded.length > 0) {
    throw new Finding(
      `evolve of ${name} gives another state for ${event.type} once it comes from the log`,
      [`with ${on}, the event being ${short(stored.data)} in the log`, ...told(refolded)],
    );
  }
  const type = topics.snapshots.records[0]?.name ?? "";
  const state = { type, data: next };
  const { data: restored } = throughLog(codec, topics.snapshots, state, `The state of ${name}`);
  const lost = differences(next, restored);
  if (lost.length === 0) return;
  throw new Finding(`The state of ${name} does not survive its schema ${type}`, [
    `evolve with ${on}: a worker that starts from a snapshot or a local store has another state`,
    ...told(lost),
  ]);
}

/** The message as it comes back from bytes. */
function throughLog(codec: Codec, topic: Topic, { type, data }: Message, what: string): Message {
  try {
    return codec.decode(topic, codec.encode(topic, type, data));
  } catch (error) {
    throw new Finding(`${what} does not fit its schema`, [
      messageOf(error),
      `it is ${short(data)}`,
    ]);
  }
}

import type { Decoded } from "../codec.ts";
import type { Message } from "../decider.ts";
import { FatalError, messageOf, PoisonError } from "../errors.ts";
import type { RecordType } from "../topic.ts";

/** From a record that is no longer written to the one that took its place. Pure; it must not throw. */
export type Upcast = (old: never) => Message;

/** By the full name of the old record. */
export type Upcasts = Readonly<Record<string, Upcast>>;

/**
 * The message in the form of a record that is still written: upcast as often as there is an upcast for it.
 * `records` are those of its topic, by short name.
 * @throws PoisonError `DECIDER_THREW` where an upcast throws
 * @throws FatalError `BROKEN_INVARIANT` where upcasts go in a circle or end outside the topic
 */
export function upcast(
  message: Decoded,
  upcasts: Upcasts,
  records: ReadonlyMap<string, RecordType>,
): Decoded {
  let current = message;
  for (let step = 0; ; step++) {
    const record = records.get(current.type);
    if (record === undefined || step > records.size) {
      const fault =
        record === undefined
          ? `gives a ${current.type}, which its topic does not list`
          : "goes in a circle";
      throw new FatalError("BROKEN_INVARIANT", `the upcast of ${message.type} ${fault}`);
    }
    const convert = Object.hasOwn(upcasts, record.fullName) ? upcasts[record.fullName] : undefined;
    if (convert === undefined) return current;
    try {
      current = convert(current.data as never) as Decoded;
    } catch (error) {
      throw new PoisonError(
        "DECIDER_THREW",
        `the upcast of ${record.name} threw: ${messageOf(error)}`,
        {
          cause: error,
        },
      );
    }
  }
}

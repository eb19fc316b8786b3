import { invariant } from "../errors.ts";
import type { AggregateTopics } from "../topic.ts";

/** What the engine's own projections, over the topics of every aggregate, have in common. Pure. */

/** Topic name → the name of its aggregate. */
export function aggregateNames(
  aggregates: readonly AggregateTopics[],
  kind: "events" | "replies",
): ReadonlyMap<string, string> {
  const names = new Map(aggregates.map((of) => [of[kind].name, of.aggregate]));
  const different = new Set(names.values()).size;
  invariant(different === aggregates.length, "the aggregates of an application differ in name");
  return names;
}

/**
 * Whether Postgres can hold the text. Ids of ours always can; a reply may quote one that was refused for holding
 * U+0000, the only character that it cannot.
 */
export function isStorable(text: string): boolean {
  return !text.includes("\0");
}

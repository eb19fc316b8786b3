import type { Decider, Message } from "../decider.ts";
import type { AnyProjection } from "../projection.ts";
import type { AggregateTopics } from "../topic.ts";

/** What a gateway serves. Plain data, from which its routes and its OpenAPI document are made. */

export interface AggregateApi {
  readonly topics: AggregateTopics;
  readonly decider: Decider<object, Message, Message, string>;
}

export interface Api {
  /** Of OpenAPI's `info`. */
  readonly title: string;
  readonly version: string;
  readonly aggregates: readonly AggregateApi[];
  /** Their public views are served by the names of their tables. */
  readonly projections: readonly AnyProjection[];
}

/** Limits that hold for every route, in the units of their names. */
export const apiLimits = {
  /** A command's body; a record's own limit is checked when it has been encoded. */
  bodyBytes: 2 * 1024 * 1024,
  /** How long a command waits for its reply, and a view for its token. */
  waitMs: { fallback: 5_000, most: 30_000 },
  pageRows: { fallback: 50, most: 500 },
  /** Commands that are sent and not answered. */
  inFlight: 2_000,
} as const;

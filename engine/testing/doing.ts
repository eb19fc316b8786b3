import type { Message } from "../decider.ts";
import type { ProjectedEvent, Projection, TableRows } from "../projection.ts";
import { aggregateTopics, type RecordType } from "../topic.ts";

/** A projection for tests of the engine: its events carry the row operations that they stand for. */

export interface Doing<T extends string> extends Message {
  readonly data: { readonly apply: (rows: Readonly<Record<T, TableRows>>) => void };
}

const record: RecordType = {
  name: "Done",
  fullName: "test.Done",
  versions: [{ version: 1, fingerprint: "", schema: { type: "record", name: "Done", fields: [] } }],
};

export const doingTopics = aggregateTopics({
  namespace: "test",
  aggregate: "thing",
  partitions: 4,
  commands: [],
  events: [record],
  state: record,
  reply: record,
  position: record,
});

export function doing<T extends string>(
  tables: Readonly<Record<T, string>>,
  of: { readonly name?: string; readonly version?: number } = {},
): Projection<Doing<T>, T> {
  return {
    name: of.name ?? "doing",
    version: of.version ?? 1,
    topics: [doingTopics.events],
    tables,
    apply({ data }, rows) {
      data.apply(rows);
    },
  };
}

/** An event of aggregate `a-1` that does what `apply` does. */
export function does<T extends string>(
  apply: (rows: Readonly<Record<T, TableRows>>) => void,
  version = 1,
): Doing<T> & ProjectedEvent {
  const commandId = `c-${version}`;
  return {
    type: "Done",
    data: { apply },
    topic: doingTopics.events.name,
    partition: 0,
    offset: version,
    key: `a-1/${version}`,
    aggregateId: "a-1",
    version,
    time: new Date(0),
    commandId,
  };
}

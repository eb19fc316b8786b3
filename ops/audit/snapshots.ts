import type { Codec } from "../../engine/codec.ts";
import { messageOf, PoisonError } from "../../engine/errors.ts";
import type { Position } from "../../engine/generated.ts";
import { headerOf } from "../../engine/log.ts";
import { headers } from "../../engine/message.ts";
import type { Topic } from "../../engine/topic.ts";
import { type AuditedTopic, type AuditRecord, coordinatesOf, type Until } from "./audited-log.ts";
import type { Findings } from "./findings.ts";
import type { Versions } from "./versions.ts";

/** The private topic of a command processor: how far it has come, and the states that it restores from. */

export interface SeenPosition {
  readonly position: Position;
  readonly at: string;
}

/** The state of an aggregate as the processor last wrote it, of the fold that it has now. */
export interface SeenSnapshot {
  readonly version: number;
  readonly state: Readonly<Record<string, unknown>>;
  readonly at: string;
}

export interface Snapshots {
  readonly position: SeenPosition | null;
  readonly byAggregate: ReadonlyMap<string, SeenSnapshot>;
  readonly records: number;
}

export interface SnapshotReading {
  readonly topic: Topic;
  readonly source: AuditedTopic;
  readonly codec: Codec;
  readonly findings: Findings;
}

const positionKey = "@position";

/**
 * Reads positions and snapshots. One transaction writes a position with the events, replies and dead letters
 * of the commands before it: with `until` "the end", all of those were in the log when this topic's end was
 * looked up; with "all is decided", nothing that was seen committed by now has a later one.
 */
export async function readSnapshots(
  { topic, source, codec, findings }: SnapshotReading,
  until: Until,
  signal: AbortSignal,
): Promise<Snapshots> {
  let position: SeenPosition | null = null;
  let records = 0;
  const states = new Map<string, SeenSnapshot & { readonly fold: string | null }>();
  for await (const slice of source.read(until)) {
    await codec.learn(
      slice.records.map(({ value }) => value),
      signal,
    );
    records += slice.records.length;
    for (const record of slice.records) {
      const at = coordinatesOf(source, record.offset);
      const data = decode(topic, codec, record);
      const fault = faultOf(record, data);
      if (fault !== null) findings.add({ invariant: "I5", at, ...fault });
      if (data === null || typeof data === "string") continue;

      const key = String(record.key);
      if (key === positionKey) {
        const next = data as unknown as Position;
        if (position !== null && next.nextOffset < position.position.nextOffset) {
          const expected = `a position of at least ${position.position.nextOffset}`;
          findings.add({ invariant: "I5", at, expected, found: String(next.nextOffset) });
        }
        position = { position: next, at };
      } else {
        const version = Number(headerOf(record, headers.version));
        const fold = headerOf(record, headers.foldVersion);
        states.set(key.startsWith("@@") ? key.slice(1) : key, { version, state: data, at, fold });
      }
    }
  }
  const current = position?.position.foldVersion;
  const byAggregate = new Map([...states].filter(([, { fold }]) => fold === current));
  return { position, byAggregate, records };
}

/** The state or position, `null` for a tombstone, or what keeps it from being read. */
function decode(
  topic: Topic,
  codec: Codec,
  { value }: AuditRecord,
): Readonly<Record<string, unknown>> | string | null {
  try {
    return value === null ? null : codec.decode(topic, value).data;
  } catch (error) {
    if (error instanceof PoisonError) return `${error.code}: ${messageOf(error)}`;
    throw error;
  }
}

function faultOf({ writer }: AuditRecord, data: ReturnType<typeof decode>) {
  if (typeof data === "string") return { expected: "a snapshot or a position", found: data };
  return writer === null ? { expected: "written in a transaction", found: "outside any" } : null;
}

/**
 * I8 for snapshots: below `coveredFrom` every event must be in the snapshot of its aggregate, for a restore
 * does not read it. To be fed with the events in the order of the log.
 */
export class Coverage {
  private readonly snapshots: Snapshots;
  private readonly versions: Versions;
  private readonly findings: Findings;
  private isChecked = false;

  constructor(snapshots: Snapshots, versions: Versions, findings: Findings) {
    this.snapshots = snapshots;
    this.versions = versions;
    this.findings = findings;
  }

  /** Before the event at that offset is counted. */
  reach(offset: bigint): void {
    const { position } = this.snapshots;
    if (this.isChecked || position === null) return;
    if (offset < BigInt(position.position.coveredFrom)) return;
    this.isChecked = true;
    for (const [aggregateId, version] of this.versions.all()) {
      this.findings.check("I8");
      const covered = this.snapshots.byAggregate.get(aggregateId)?.version ?? 0;
      if (covered >= version) continue;
      this.findings.add({
        invariant: "I8",
        at: position.at,
        aggregateId,
        expected: `a snapshot of at least version ${version}, for events below ${position.position.coveredFrom} are said to be covered`,
        found: covered === 0 ? "none" : `version ${covered}`,
      });
    }
  }

  /** When all events are read. */
  end(eventsEnd: bigint): void {
    const { position, byAggregate } = this.snapshots;
    this.reach(eventsEnd);
    if (position !== null && !this.isChecked) {
      const expected = `events covered at most up to ${eventsEnd}, where they end`;
      const found = `coveredFrom ${position.position.coveredFrom}`;
      this.findings.add({ invariant: "I8", at: position.at, expected, found });
    }
    for (const [aggregateId, { version, at }] of byAggregate) {
      const last = this.versions.of(aggregateId);
      if (version <= last) continue;
      const expected = `at most version ${last}, the last in the log`;
      this.findings.add({
        invariant: "I8",
        at,
        aggregateId,
        expected,
        found: `version ${version}`,
      });
    }
  }
}

import { partitionOf } from "../../engine/message.ts";
import { type AuditedTopic, coordinatesOf } from "./audited-log.ts";
import type { Findings } from "./findings.ts";
import type { SeenEvent } from "./handling.ts";

/** I3, and of I2 that no event is there twice: counts the versions of each aggregate in the log's order. */
export class Versions {
  private readonly topic: AuditedTopic;
  private readonly partitions: number;
  private readonly findings: Findings;
  private readonly current = new Map<string, number>();
  private readonly disturbed = new Set<string>();

  constructor(topic: AuditedTopic, partitions: number, findings: Findings) {
    this.topic = topic;
    this.partitions = partitions;
    this.findings = findings;
    if (topic.start > 0n) {
      findings.add({
        invariant: "I3",
        at: coordinatesOf(topic, topic.start),
        expected: "a log that begins at offset 0: events are kept for ever",
        found: `one that begins at offset ${topic.start}`,
      });
    }
  }

  get aggregates(): number {
    return this.current.size;
  }

  /** 0 before the first event. */
  of(aggregateId: string): number {
    return this.current.get(aggregateId) ?? 0;
  }

  /** Whether a violation was found of it, so that one harm is not reported in many forms. */
  isDisturbed(aggregateId: string): boolean {
    return this.disturbed.has(aggregateId);
  }

  all(): Iterable<readonly [aggregateId: string, version: number]> {
    return this.current;
  }

  take(event: SeenEvent): void {
    this.findings.check("I3");
    const { aggregateId, version } = event;
    const current = this.of(aggregateId);
    if (current === 0) this.checkPartition(event);
    if (version === current + 1) {
      this.current.set(aggregateId, version);
      return;
    }
    this.disturbed.add(aggregateId);
    const expected = `version ${current + 1}`;
    this.report("I3", event, { expected, found: `version ${version}` });
    if (version > current) this.current.set(aggregateId, version);
    else
      this.report("I2", event, { expected: "no version twice", found: `version ${version} again` });
  }

  private checkPartition(event: SeenEvent): void {
    const home = partitionOf(event.aggregateId, this.partitions);
    if (home === this.topic.partition) return;
    this.disturbed.add(event.aggregateId);
    const found = `it in partition ${this.topic.partition}`;
    this.report("I3", event, { expected: `the aggregate in partition ${home}`, found });
  }

  private report(
    invariant: "I2" | "I3",
    { record, aggregateId, commandId }: SeenEvent,
    what: { readonly expected: string; readonly found: string },
  ): void {
    const at = coordinatesOf(this.topic, record.offset);
    this.findings.add({ invariant, at, aggregateId, commandId, ...what });
  }
}

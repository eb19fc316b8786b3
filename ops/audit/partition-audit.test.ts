import { describe, expect, test } from "vitest";
import { deadLetterHeaders } from "../../engine/commands/dead-letter.ts";
import { headerOf } from "../../engine/log.ts";
import { headers } from "../../engine/message.ts";
import type { AuditRecord } from "./audited-log.ts";
import { auditHistory } from "./testing/audited-history.ts";
import type { History } from "./testing/history.ts";
import { makeHistory } from "./testing/make-history.ts";

const only = process.env["SEED"] === undefined ? null : Number(process.env["SEED"]);
const seedCount = Number(process.env["SEEDS"] ?? 60);
const seeds = only === null ? Array.from({ length: seedCount }, (_, i) => i + 1) : [only];

describe("a history that the processor made, whatever it lost on the way", () => {
  test.each(seeds)("holds every invariant: SEED=%i", async (seed) => {
    const history = await makeHistory(seed, { window: seed % 3 === 0 ? 10 : 1_000 });
    const { violations, counts } = await auditHistory(history);
    expect(violations).toEqual([]);
    expect(counts.consumed).toBe(80);
    expect(counts.replies).toBe(80);
    expect(counts.deadLetters).toBe(history.log.dlq.length);
    expect(counts.waiting + counts.underWay).toBe(0);
  });

  test.each(seeds)("holds them still when retention has passed: SEED=%i", async (seed) => {
    const history = await makeHistory(seed);
    const { starts, ends, log, random } = history;
    for (const kind of ["commands", "replies", "dlq"] as const) {
      if (random() < 0.7) starts[kind] = BigInt(Math.floor(random() * (Number(ends[kind]) + 1)));
    }
    // Compaction: the last record of a key, and some that it has not come to yet.
    const last = new Map(log.snapshots.map(({ key, offset }) => [String(key), offset]));
    const kept = log.snapshots.filter(
      ({ key, offset }) => last.get(String(key)) === offset || random() < 0.2,
    );
    log.snapshots.splice(0, Infinity, ...kept);
    expect((await auditHistory(history)).violations).toEqual([]);
  });

  test.each(seeds)("holds them while the processor is at work: SEED=%i", async (seed) => {
    const history = await makeHistory(seed);
    const { ends, log, random } = history;
    // The ends were looked up one after the other, and transactions went on in between.
    const positions = log.snapshots.filter(({ key }) => String(key) === "@position");
    const settled = Math.floor(random() * (positions.length + 1)) - 1;
    ends.snapshots = (positions[settled]?.offset ?? -1n) + 1n;
    const consumed = nextOffsetOf(history, positions[settled]);
    let reached = consumed;
    for (const kind of ["events", "dlq", "replies"] as const) {
      reached += Math.floor(random() * 10);
      ends[kind] = endAfter(history, kind, reached);
    }
    // Clients and samples are held against a log that they are done with.
    history.clients.length = history.samples.length = 0;
    history.balances.clear();
    history.statements.clear();
    const none = { nextOffset: 0n, commandOffset: null, aggregateVersion: null };
    Object.assign(history.checkpoints, { balances: none, statements: none });

    const { violations, counts } = await auditHistory(history);
    expect(violations).toEqual([]);
    expect(counts.consumed).toBe(consumed);
    expect(counts.waiting).toBe(80 - consumed);
  });
});

function nextOffsetOf({ topics, codec }: History, position: AuditRecord | undefined): number {
  if (position?.value == null) return 0;
  return Number(codec.decode(topics.snapshots, position.value).data["nextOffset"]);
}

/** Where the topic ended when it held all of the commands below an offset, and nothing of the others. */
function endAfter(
  { topics, codec, log }: History,
  kind: "events" | "dlq" | "replies",
  commandOffset: number,
): bigint {
  const offsetOf = (record: AuditRecord): number => {
    const header = (name: string) => Number(headerOf(record, name));
    if (kind === "events") return header(headers.commandOffset);
    if (kind === "dlq") return header(deadLetterHeaders.offset);
    const { data } = codec.decode(topics.replies, record.value as Buffer);
    return Number(data["commandOffset"]);
  };
  const last = log[kind].findLast((record) => offsetOf(record) < commandOffset);
  return (last?.offset ?? -1n) + 1n;
}

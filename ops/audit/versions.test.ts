import { expect, test } from "vitest";
import { partitionOf } from "../../engine/message.ts";
import type { AuditedTopic } from "./audited-log.ts";
import { Findings } from "./findings.ts";
import type { SeenEvent } from "./handling.ts";
import { Versions } from "./versions.ts";

const topic = (start = 0n): AuditedTopic => ({
  topic: "events",
  partition: 0,
  start,
  end: 100n,
  read: async function* () {
    yield { records: [], isAfterGap: false };
  },
});
const idIn = (partition: number): string => {
  for (let i = 0; ; i++) if (partitionOf(`id-${i}`, 3) === partition) return `id-${i}`;
};

function found(...versions: readonly (readonly [aggregateId: string, version: number])[]) {
  const findings = new Findings();
  const counted = new Versions(topic(), 3, findings);
  versions.forEach(([aggregateId, version], i) => {
    const record = {
      offset: BigInt(i),
      timestamp: 0,
      key: null,
      value: null,
      headers: [],
      writer: null,
    };
    const event: SeenEvent = {
      ...{ record, aggregateId, version, type: "T", data: {} },
      commandId: null,
      commandOffset: null,
    };
    counted.take(event);
  });
  return [findings.of("I2"), findings.of("I3")].map((all) => all.map(({ at }) => at));
}

const home = idIn(0);

test("1 to n of each aggregate is as it should be", () => {
  expect(found([home, 1], [home, 2], [home, 3])).toEqual([[], []]);
});

test("a first version that is not 1, and a gap, are told at the event behind it", () => {
  expect(found([home, 2], [home, 3], [home, 5], [home, 6])).toEqual([
    [],
    ["events/0/0", "events/0/2"],
  ]);
});

test("a version that comes again is an event that is there twice", () => {
  expect(found([home, 1], [home, 2], [home, 2], [home, 3], [home, 1])).toEqual([
    ["events/0/2", "events/0/4"],
    ["events/0/2", "events/0/4"],
  ]);
});

test("an aggregate that belongs into another partition is told once", () => {
  const stranger = idIn(1);
  expect(found([stranger, 1], [stranger, 2])).toEqual([[], ["events/0/0"]]);
});

test("a log whose beginning is gone is told", () => {
  const findings = new Findings();
  new Versions(topic(5n), 3, findings);
  expect(findings.of("I3")[0]?.at).toBe("events/0/5");
});

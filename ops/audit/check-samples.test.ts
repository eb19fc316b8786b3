import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkSamples, readSamples } from "./check-samples.ts";
import { Findings } from "./findings.ts";
import type { PositionsAnnounced, PositionSample } from "./samples.ts";

const at = { topic: "events", partition: 0 };

function seen(t: number, next: string, offset: string | null, end = "100"): PositionSample {
  return {
    ...{ kind: "seen", t },
    views: [{ projection: "balances", version: 1, ...at, nextOffset: next }],
    groups: [{ group: "bank.account", topic: "commands", partition: 0, offset }],
    ends: [
      { ...at, end },
      { topic: "commands", partition: 0, end },
    ],
  };
}
const committed = (t: number, offset: string | null): PositionSample => ({
  ...{ kind: "committed", t },
  groups: [{ group: "bank.account", topic: "commands", partition: 0, offset }],
});
const announced = (what: PositionsAnnounced["what"], of: string | null): PositionSample => ({
  ...{ kind: "announced", t: 0, what, of },
});

function found(...samples: readonly PositionSample[]): readonly string[] {
  const findings = new Findings();
  checkSamples(samples, findings);
  return [...findings.of("I9"), ...findings.of("I11")].map(
    ({ invariant, found: is }) => `${invariant}: ${is}`,
  );
}

describe("positions", () => {
  test("that go forward or stand still hold", () => {
    expect(found(seen(1, "1", null), seen(2, "5", "3"), seen(3, "5", "3"))).toEqual([]);
  });

  test("that go back do not", () => {
    expect(found(seen(1, "5", "5"), seen(2, "4", "4"))).toEqual(["I9: 4", "I11: 4"]);
  });

  test("of a group that are gone do not", () => {
    expect(found(seen(1, "5", "5"), seen(2, "5", null))).toEqual(["I11: none"]);
  });

  test("of a group may be told late, and must be told again", () => {
    const late = [seen(1, "5", "5"), seen(2, "5", "4"), seen(3, "5", null)];
    expect(found(...late)).toEqual(["I11: 4"]);
    expect(found(...late, seen(4, "5", "4"))).toEqual(["I11: 4"]);
    expect(found(...late, seen(4, "5", "5"), seen(5, "5", "6"))).toEqual([]);
  });

  test("of a group do not go back in the log of commits, not for a moment", () => {
    expect(found(committed(1, "5"), committed(2, "5"), committed(3, "6"))).toEqual([]);
    const back = [committed(1, "5"), committed(2, "4"), committed(3, "6"), committed(4, null)];
    expect(found(...back)).toEqual(["I11: 4", "I11: none"]);
    const reset = announced("reset", "bank.account");
    expect(found(committed(1, "5"), reset, committed(2, "0"))).toEqual([]);
  });

  test("beyond the end do not", () => {
    expect(found(seen(1, "8", "9", "7"))).toEqual(["I9: 8", "I11: 9"]);
  });

  test("are compared over a moment at which nobody could be asked", () => {
    const nothing: PositionSample = { kind: "seen", t: 2, views: [], groups: [], ends: [] };
    expect(found(seen(1, "5", "5"), nothing, seen(3, "4", "5"))).toEqual(["I9: 4"]);
  });

  test("may go back once where that was announced, and only what was named", () => {
    const back = seen(2, "2", "2");
    expect(found(seen(1, "5", "5"), announced("rebuild", "balances"), back)).toEqual(["I11: 2"]);
    expect(found(seen(1, "5", "5"), announced("reset", "bank.account"), back)).toEqual(["I9: 2"]);
    expect(found(seen(1, "5", "5"), announced("fail-over", null), back)).toEqual(["I11: 2"]);
    expect(found(seen(1, "5", "5"), announced("rebuild", "others"), back)).toHaveLength(2);
    const again = [seen(3, "5", "5"), seen(4, "1", "5")];
    const all = [seen(1, "5", "5"), announced("fail-over", null), seen(2, "2", "5"), ...again];
    expect(found(...all)).toEqual(["I9: 1"]);
  });

  test("may go back once too where they were seen first between the announcement and the deed", () => {
    const first = [announced("fail-over", null), seen(1, "5", "5")];
    expect(found(...first, seen(2, "2", "5"))).toEqual([]);
    const twice = [seen(2, "2", "5"), seen(3, "5", "5"), seen(4, "1", "5")];
    expect(found(...first, ...twice)).toEqual(["I9: 1"]);
  });

  test("of a topic that was made anew may all go back", () => {
    const all = [seen(1, "5", "5"), announced("recreate", null), seen(2, "0", "0")];
    expect(found(...all)).toEqual([]);
    const some = [seen(1, "5", "5"), announced("recreate", "commands"), seen(2, "0", "0")];
    expect(found(...some)).toEqual(["I9: 0"]);
  });
});

describe("a file of samples", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "foldlog-samples-"));
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  const read = async (text: string) => {
    const file = join(folder, "samples.jsonl");
    writeFileSync(file, text);
    const all: PositionSample[] = [];
    for await (const sample of readSamples(file)) all.push(sample);
    return all;
  };

  test("is read line by line, but for an end that was cut off", async () => {
    const all = [seen(1, "1", null), announced("reset", null), committed(2, "7")];
    const text = all.map((it) => `${JSON.stringify(it)}\n`).join("");
    expect(await read(`${text}{"kind":"se`)).toEqual(all);
  });

  test.each([
    ['{"kind":"committed","t":1,"groups":[{"offset":"-1"}]}\n', /line 1 is no sample/],
    ["no JSON\n", /samples\.jsonl, line 1 is not a JSON object/],
    ["[]\n{}\n", /line 1 is not a JSON object/],
    ['{"kind":"seen","t":1}\n', /line 1 is no sample/],
    ['{"kind":"announced","t":1,"what":"whim","of":null}\n', /line 1 is no sample/],
    [
      '{"kind":"seen","t":1,"views":[{"nextOffset":-1}],"groups":[],"ends":[]}\n',
      /line 1 is no sample/,
    ],
  ])("that is none is refused with the line: %j", async (text, message) => {
    await expect(read(text)).rejects.toThrow(message);
  });
});

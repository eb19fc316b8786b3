import { describe, expect, test } from "vitest";
import type { Fault } from "./chaos/plan.ts";
import { reportPage } from "./chaos/report.ts";
import { exampleResult } from "./chaos/report-example.ts";
import { html } from "./chaos/report-html.ts";
import { reportIndex, reportName } from "./chaos/report-index.ts";
import { faultLanes } from "./chaos/report-lanes.ts";
import { roundAbove, stretches, thinned, timeTicks } from "./chaos/report-scale.ts";
import { clockTime } from "./chaos/report-words.ts";
import type { ChaosResult, FaultTime } from "./chaos/result.ts";

const held = exampleResult();

/** The text that a reader sees, without what only the style or a tooltip has. */
function textOf(page: string): string {
  const seen = page.replaceAll(/<(style|title|desc)\b[^]*?<\/\1>/g, "").replaceAll(/<[^>]*>/g, " ");
  return seen.replaceAll(/\s+/g, " ");
}

function violated(violations: readonly string[], more = 0): ChaosResult {
  const invariants = held.invariants.map((it) =>
    it.id === "I3" ? { ...it, violated: violations.length + more, violations } : it,
  );
  return { ...held, verdict: "violated", because: ["I3 is violated"], invariants };
}

describe("the page of a run", () => {
  test("a run that held says so first, and how much was checked", () => {
    const text = textOf(reportPage(held));
    expect(text.indexOf("Held")).toBeLessThan(text.indexOf("What happened"));
    expect(text).toContain("4 promises (27,310 checks) held under 12 faults.");
  });

  test("a promise that could not be shown is not called held", () => {
    expect(textOf(reportPage(held))).toMatch(/– not shown I12/);
  });

  test("a promise that broke stands there with its first violations and how many more there are", () => {
    const text = textOf(
      reportPage(violated(["version 17 is there twice", "version 19 is not"], 3)),
    );
    expect(text).toContain("1 of 4 promises broken under 12 faults: I3.");
    expect(text).toMatch(/✗ violated I3.*version 17 is there twice version 19 is not and 3 more/);
  });

  test("a worker that should refuse, and did, is told from one that survived", () => {
    const refused = { ...held, plan: { ...held.plan, expects: "OFFSETS_AHEAD" } };
    expect(textOf(reportPage(refused))).toMatch(/Refused, as it should.*OFFSETS_AHEAD/);
  });

  test("a run that could not be made says nothing about promises", () => {
    const failed: ChaosResult = {
      ...held,
      verdict: "could not run",
      because: ["broker 2 did not come up"],
      samples: [],
      faults: [],
      invariants: [],
      times: { toRestMs: null, longestSilenceMs: 0 },
    };
    const text = textOf(reportPage(failed));
    expect(text).toContain("This says nothing about any promise");
    expect(text).toContain("broker 2 did not come up");
    expect(text).not.toMatch(/NaN|Infinity|undefined|null/);
  });

  test("it has the last words of a worker that ended by itself, the seed, the commit and the line that replays", () => {
    const ending = { t: 61_000, name: "account/2", how: 1, isWanted: false, said: "OFFSETS_AHEAD" };
    const text = textOf(reportPage({ ...held, endings: [ending] }));
    expect(text).toMatch(/1:01 account\/2 1 ✗ by itself Last words OFFSETS_AHEAD/);
    expect(text).toContain(held.replay);
    expect(text).toContain("Seed 7, on compose, at commit 5bbfbbb");
  });

  test("every fault has a bar that tells what it was, to a reader who sees no picture too", () => {
    const page = reportPage(held);
    for (const [i, { fault }] of held.faults.entries()) {
      const told = page.split(`<title>${i + 1}. ${fault.id}: `).length - 1;
      expect(told, `${i + 1}. ${fault.id}`).toBe(2); // Once for each size of screen.
    }
    expect(page).toMatch(/role="img"\s+aria-labelledby="chart-wide-title chart-wide-desc"/);
    expect(page).toMatch(/<desc[^>]*>[^<]*answered: at most 110 at/);
  });

  test("what nobody could tell is drawn as unknown, and never as nothing", () => {
    const samples = [null, null, 4, null].map((commandLag, i) => ({
      ...{ t: 1_000 * (i + 1), sentPerSecond: 1, answeredPerSecond: 1, commandLag },
      viewLag: {},
    }));
    const page = reportPage({ ...held, samples });
    expect(page.match(/<title>not known from/g)).toHaveLength(4);
    expect(textOf(page)).toMatch(/commands waiting commands 4 4 0:03 4 3 of 4/);
  });

  test("it asks nothing of a network, and needs no script", () => {
    for (const page of [reportPage(held), reportIndex([held])]) {
      expect(page).toContain("default-src 'none'");
      expect(page).not.toMatch(/<script|<link|<img|\bsrc=|@import|https?:/);
      expect(page).not.toMatch(/url\((?!#)/);
    }
  });

  test("nothing in a result becomes markup, wherever it stands", () => {
    const evil = `"'><script>alert(1)</script>&\u202E\u0000`;
    const times: readonly FaultTime[] = held.faults.map((it) => ({
      ...it,
      fault: { ...it.fault, id: evil },
    }));
    const page = reportPage({
      ...violated([evil]),
      plan: { ...held.plan, name: evil, about: evil, expects: evil },
      commit: evil,
      because: [evil],
      replay: evil,
      faults: times,
      endings: [{ t: 1, name: evil, how: evil, isWanted: false, said: evil }],
      samples: held.samples.map((it) => ({ ...it, viewLag: { [evil]: 1 } })),
    });
    expect(page).not.toMatch(/<script|"'>|[\0\u202E]/);
    expect(page).toContain("&lt;script&gt;alert(1)&lt;/script&gt;&amp;\\u{202e}\\u{0}");
  });

  test("every tag that is opened is closed, in order", () => {
    for (const page of [reportPage(held), reportPage(violated(["x"], 1)), reportIndex([held])]) {
      expect(unclosed(page)).toEqual([]);
    }
  });

  test("hours of samples leave a page of bounded size", () => {
    const samples = Array.from({ length: 20_000 }, (_, i) => ({
      ...{ t: i * 1_000, sentPerSecond: i % 90, answeredPerSecond: i % 71, commandLag: i % 53 },
      viewLag: { balances: i % 37 },
    }));
    expect(reportPage({ ...held, samples }).length).toBeLessThan(200_000);
  });
});

/** Tags that no closing tag matches, and closing tags of nothing. */
function unclosed(page: string): readonly string[] {
  const empty = new Set(["meta", "br", "rect", "line", "path"]);
  const wrong: string[] = [];
  const open: string[] = [];
  const markup = page.replaceAll(/<style>[^]*?<\/style>|<!doctype html>/g, "");
  for (const [tag, slash, name = ""] of markup.matchAll(/<(\/?)([a-z0-9]+)\b[^>]*>/g)) {
    if (slash === "/") {
      if (open.pop() !== name) wrong.push(tag);
    } else if (!empty.has(name)) open.push(name);
    else if (/^(rect|line|path)$/.test(name) && !tag.endsWith("/>")) wrong.push(tag);
  }
  return [...wrong, ...open];
}

describe("the page of many runs", () => {
  test("runs that failed stand first, each with its reason and a link to its page", () => {
    const bad = { ...violated(["x"]), plan: { ...held.plan, name: "two owners", seed: 41 } };
    const page = reportIndex([held, bad]);
    expect(textOf(page)).toMatch(
      /1 run did not hold.*two owners seed 41.*I3 is violated.*every-service/,
    );
    expect(page).toContain(`href="${reportName(bad)}.html"`);
  });

  test("a promise is held over all runs only where none violated it", () => {
    const text = textOf(reportIndex([held, violated(["x"])]));
    expect(text).toContain("✗ violated 1 I3");
    expect(text).toMatch(/✓ held I1\b.*? 2 17,622/);
  });

  test("no run is a page too", () => {
    expect(textOf(reportIndex([]))).toContain("No run yet");
  });

  test("a report's name is safe as a file's, and differs from run to run", () => {
    const named = (name: string, startedAt: number) =>
      reportName({ ...held, startedAt, plan: { ...held.plan, name } });
    expect(named("../../Two owners?", 0)).toBe("two-owners-compose-seed7-19700101T000000Z");
    expect(named("ключ", 0)).toBe("plan-compose-seed7-19700101T000000Z");
    expect(named("a", 0)).not.toBe(named("a", 1_000));
  });
});

describe("the bars of faults", () => {
  const scale = { xOf: (t: number) => t / 100, left: 0, right: 1_000, charWidth: 6 };

  test("no bar and no label covers another, however many there are", () => {
    for (const faults of [12, 60, 300]) {
      const { faults: times } = exampleResult({ minutes: 1, faults });
      const lanes = faultLanes(times, { ...scale, xOf: (t) => t / 60 });
      expect(lanes.flatMap(({ bars }) => bars)).toHaveLength(faults);
      for (const { bars } of lanes) {
        for (const row of Map.groupBy(bars, (bar) => bar.row).values()) {
          const reach = row.map(({ x, width, label, labelX }) => ({
            from: Math.min(x, labelX),
            to: Math.max(x + width, labelX + label.length * 6),
          }));
          reach.slice(1).forEach(({ from }, i) => {
            expect(from).toBeGreaterThanOrEqual(reach[i]?.to ?? 0);
          });
        }
      }
    }
  });

  test("a fault at the right edge has its label before it", () => {
    const fault: Fault = { id: "F1", at: 99_000, for: 1_000, does: "kill", target: "account/1" };
    const [lane] = faultLanes([{ fault, from: 99_000, to: 100_000 }], scale);
    expect(lane?.bars[0]).toMatchObject({ x: 990, width: 10, label: "F1 kill", labelX: 944 });
  });
});

describe("axes", () => {
  test("times are marked at steps that people count in, from 0", () => {
    expect(timeTicks(100_000, 6)).toEqual([0, 30_000, 60_000, 90_000]);
    expect(timeTicks(7_200_000, 5)).toEqual([0, 1_800_000, 3_600_000, 5_400_000, 7_200_000]);
  });

  test("a time is shown as a clock has it", () => {
    expect([0, 59_499, 61_000, 3_725_000].map(clockTime)).toEqual([
      "0:00",
      "0:59",
      "1:01",
      "1:02:05",
    ]);
  });

  test("an axis ends at a round number above its greatest value", () => {
    expect([0, 5, 6, 101, 240, 999].map(roundAbove)).toEqual([5, 5, 10, 200, 250, 1_000]);
  });

  test("a peak of one moment is still there when points are thinned", () => {
    const points = Array.from({ length: 1_000 }, (_, t) => ({ t, value: t === 531 ? 99 : 0 }));
    const few = thinned(points, 100, "peak");
    expect(few).toHaveLength(100);
    expect(Math.max(...few.map(({ value }) => value ?? 0))).toBe(99);
  });

  test("what is unknown parts what is known", () => {
    const values = [1, null, null, 2, 3];
    const points = values.map((value, t) => ({ t, value }));
    const { known, unknown } = stretches(points);
    expect(known.map((stretch) => stretch.map(({ value }) => value))).toEqual([[1], [2, 3]]);
    expect(unknown).toEqual([{ from: 0, to: 3 }]);
  });
});

test("markup is put in as it is, and text as text", () => {
  const inner = html`<b>${"<i>"}</b>`;
  expect(html`<p title="${'"'}">${[inner, 1, null]}</p>`.source).toBe(
    '<p title="&quot;"><b>&lt;i&gt;</b>1</p>',
  );
});

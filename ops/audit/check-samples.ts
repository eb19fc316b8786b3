import type { Findings } from "./findings.ts";
import { jsonLines } from "./json-lines.ts";
import type { PositionsAnnounced, PositionSample, PositionsSeen } from "./samples.ts";

/** A position that only goes forward, and what it may not exceed. */
interface Followed {
  readonly invariant: "I9" | "I11";
  /** For people: of what. */
  readonly name: string;
  /** The projection or the group. */
  readonly owner: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint | null;
}

/**
 * I9 and I11 over samples in the order in which they were seen: checkpoints and group offsets never go back but where
 * that was announced, and are never beyond the end of their partition. Call `take` with each; what was found is in
 * `findings` at once.
 */
export class SampleCheck {
  private readonly findings: Findings;
  private readonly last = new Map<string, bigint | null>();
  /** Positions that may go back once. */
  private readonly released = new Set<string>();
  /** So far: they are about positions too that nobody has seen yet. */
  private readonly announced: PositionsAnnounced[] = [];

  constructor(findings: Findings) {
    this.findings = findings;
  }

  take(sample: PositionSample): void {
    if (sample.kind === "seen") {
      this.compare(sample);
      return;
    }
    this.announced.push(sample);
    for (const key of this.last.keys()) if (isAbout(sample, key)) this.released.add(key);
  }

  private compare(seen: PositionsSeen): void {
    const ends = new Map(
      seen.ends.map(({ topic, partition, end }) => [`${topic}/${partition}`, BigInt(end)]),
    );
    for (const position of followed(seen)) {
      const { invariant, name, owner, topic, partition, offset } = position;
      const key = JSON.stringify([invariant, owner, topic, name]);
      const at = `${name}, ${new Date(seen.t).toISOString()}`;
      this.findings.check(invariant);
      const before = this.last.get(key);
      if (before === undefined && this.announced.some((it) => isAbout(it, key))) {
        this.released.add(key);
      }
      if (hasGoneBack(before, offset)) {
        if (this.released.delete(key)) this.last.delete(key);
        else {
          const expected = `at least ${before}, as it was before`;
          this.findings.add({ invariant, at, expected, found: String(offset ?? "none") });
        }
      }
      this.last.set(key, offset);
      const end = ends.get(`${topic}/${partition}`);
      if (end === undefined || offset === null || offset <= end) continue;
      const expected = `at most ${end}, where ${topic}/${partition} ended a moment later`;
      this.findings.add({ invariant, at, expected, found: String(offset) });
    }
  }
}

/** Whether the position of this key may go back by it. */
function isAbout({ what, of }: PositionsAnnounced, key: string): boolean {
  const [invariant, owner, topic] = JSON.parse(key) as readonly string[];
  return what === "recreate"
    ? of === null || of === topic
    : (what === "reset") === (invariant === "I11") && (of === null || of === owner);
}

function hasGoneBack(before: bigint | null | undefined, now: bigint | null): boolean {
  if (before === undefined || before === null) return false;
  return now === null || now < before;
}

function followed({ views, groups }: PositionsSeen): readonly Followed[] {
  return [
    ...views.map(({ projection, version, topic, partition, nextOffset }) => ({
      invariant: "I9" as const,
      name: `checkpoint of ${projection} v${version} on ${topic}/${partition}`,
      owner: projection,
      ...{ topic, partition, offset: BigInt(nextOffset) },
    })),
    ...groups.map(({ group, topic, partition, offset }) => ({
      invariant: "I11" as const,
      name: `offset of ${group} on ${topic}/${partition}`,
      owner: group,
      ...{ topic, partition, offset: offset === null ? null : BigInt(offset) },
    })),
  ];
}

/** Checks samples that are all there; the same as `SampleCheck` over each. */
export function checkSamples(samples: Iterable<PositionSample>, findings: Findings): void {
  const check = new SampleCheck(findings);
  for (const sample of samples) check.take(sample);
}

/**
 * The samples of a file.
 * @throws Error with the file, the line and what is wrong with it
 */
export async function* readSamples(file: string): AsyncGenerator<PositionSample> {
  for await (const { value, where } of jsonLines(file)) {
    if (!isSample(value)) throw new Error(`${where} is no sample of positions`);
    yield value as unknown as PositionSample;
  }
}

type Fields = Readonly<Record<string, unknown>>;

function isSample({ kind, t, ...rest }: Fields): boolean {
  if (typeof t !== "number") return false;
  if (kind === "announced") {
    const { what, of } = rest;
    const isKnown = ["rebuild", "fail-over", "reset", "recreate"].includes(String(what));
    return isKnown && (of === null || typeof of === "string");
  }
  const { views, groups, ends } = rest;
  const isOffset = (value: unknown) => typeof value === "string" && /^\d+$/.test(value);
  const all = (list: unknown, fits: (it: Fields) => boolean) =>
    Array.isArray(list) && list.every((it) => isRow(it) && fits(it));
  return (
    kind === "seen" &&
    all(views, (it) => isOffset(it["nextOffset"])) &&
    all(groups, (it) => it["offset"] === null || isOffset(it["offset"])) &&
    all(ends, (it) => isOffset(it["end"]))
  );
}

function isRow(value: unknown): value is Fields {
  return typeof value === "object" && value !== null;
}

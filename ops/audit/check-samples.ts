import type { Findings, Violation } from "./findings.ts";
import { jsonLines } from "./json-lines.ts";
import type {
  GroupPosition,
  OffsetsCommitted,
  PositionsAnnounced,
  PositionSample,
  PositionsSeen,
} from "./samples.ts";

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
 * I9 and I11 over samples in the order in which they were seen: checkpoints and commits of groups never go back but
 * where that was announced, and none is beyond the end of its partition. What a coordinator told may go back, and must
 * be told again. Call `take` with each, and `end` after the last; what was found is in `findings`.
 */
export class SampleCheck {
  private readonly findings: Findings;
  private readonly last = new Map<string, bigint | null>();
  /** Positions that may go back once. */
  private readonly released = new Set<string>();
  /** So far: they are about positions too that nobody has seen yet. */
  private readonly announced: PositionsAnnounced[] = [];
  /** What a coordinator has told less of than before, until it tells of as much again. */
  private readonly fallenBack = new Map<string, Violation>();

  constructor(findings: Findings) {
    this.findings = findings;
  }

  take(sample: PositionSample): void {
    if (sample.kind !== "announced") {
      this.compare(sample);
      return;
    }
    this.announced.push(sample);
    for (const key of this.last.keys()) if (isAbout(sample, key)) this.released.add(key);
  }

  end(): void {
    for (const violation of this.fallenBack.values()) this.findings.add(violation);
  }

  private compare(sample: PositionsSeen | OffsetsCommitted): void {
    const isTold = sample.kind === "seen";
    const ends = new Map(
      (isTold ? sample.ends : []).map((it) => [`${it.topic}/${it.partition}`, BigInt(it.end)]),
    );
    for (const position of isTold ? followed(sample) : sample.groups.map(commitOf)) {
      const { invariant, name, owner, topic, partition, offset } = position;
      const key = JSON.stringify([invariant, owner, topic, name]);
      const at = `${name}, ${new Date(sample.t).toISOString()}`;
      this.findings.check(invariant);
      this.goOn(key, { invariant, at, found: String(offset ?? "none") }, { ...position, isTold });
      const end = ends.get(`${topic}/${partition}`);
      if (end === undefined || offset === null || offset <= end) continue;
      const expected = `at most ${end}, where ${topic}/${partition} ended a moment later`;
      this.findings.add({ invariant, at, expected, found: String(offset) });
    }
  }

  /** From what was seen last to what is seen now. */
  private goOn(
    key: string,
    what: Pick<Violation, "invariant" | "at" | "found">,
    { invariant, offset, isTold }: Followed & { readonly isTold: boolean },
  ): void {
    const before = this.last.get(key);
    if (before === undefined && this.announced.some((it) => isAbout(it, key))) {
      this.released.add(key);
    }
    const violation = { ...what, expected: `at least ${before}, as it was before` };
    if (!hasGoneBack(before, offset)) this.fallenBack.delete(key);
    else if (this.released.delete(key)) this.fallenBack.delete(key);
    else if (isTold && invariant === "I11") {
      if (!this.fallenBack.has(key)) this.fallenBack.set(key, violation);
      return;
    } else this.findings.add(violation);
    this.last.set(key, offset);
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
    ...groups.map((it) => groupAt("offset", it)),
  ];
}

function commitOf(position: GroupPosition): Followed {
  return groupAt("commit", position);
}

function groupAt(what: string, { group, topic, partition, offset }: GroupPosition): Followed {
  return {
    invariant: "I11",
    name: `${what} of ${group} on ${topic}/${partition}`,
    owner: group,
    ...{ topic, partition, offset: offset === null ? null : BigInt(offset) },
  };
}

/** Checks samples that are all there; the same as `SampleCheck` over each. */
export function checkSamples(samples: Iterable<PositionSample>, findings: Findings): void {
  const check = new SampleCheck(findings);
  for (const sample of samples) check.take(sample);
  check.end();
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
  const areGroups = all(groups, (it) => it["offset"] === null || isOffset(it["offset"]));
  if (kind === "committed") return areGroups;
  return (
    kind === "seen" &&
    areGroups &&
    all(views, (it) => isOffset(it["nextOffset"])) &&
    all(ends, (it) => isOffset(it["end"]))
  );
}

function isRow(value: unknown): value is Fields {
  return typeof value === "object" && value !== null;
}

import type { ClientAggregate } from "./clients.ts";
import { cyclesIn, type Edge } from "./cycles.ts";
import type { Findings } from "./findings.ts";

/**
 * Whether there is one order of an aggregate's commands and reads that the log, the answers and real time allow
 * (Adya 1999; Kingsbury and Alvaro, "Elle", 2020). The log gives the order of the commands, so nothing is searched:
 * such an order exists if and only if the edges below make no cycle.
 *
 * A view may be behind, so that a read alone need not show what was answered before it; what it has to show with a
 * token is for `checkTokens`.
 */
type Kind =
  /** One command is before the next in the log. */
  | "ww"
  /** A read shows what the command did. */
  | "wr"
  /** A read does not show yet what the command did. */
  | "rw"
  /** It was answered before the command was sent. */
  | "rt"
  /** The same client read the same view before. */
  | "session";

/** What a cycle is called, by the weakest kinds of edges that make one. */
const anomalies: readonly (readonly [name: string, what: string, kinds: ReadonlySet<Kind>])[] = [
  ["G0", "commands in the order in which they were answered", new Set(["ww", "rt"])],
  ["G1c", "nothing read before it was sent", new Set(["ww", "rt", "wr", "session"])],
  ["G-single", "nothing older read later", new Set(["ww", "rt", "wr", "rw", "session"])],
];

export interface OrderOptions {
  readonly aggregateId: string;
  readonly aggregate: ClientAggregate;
  readonly partition: number;
  readonly findings: Findings;
  /** Milliseconds since the epoch: after each, what a client reads of a view may be older once. */
  readonly movedBack: readonly number[];
}

export function checkOrder(options: OrderOptions): void {
  const { aggregateId, findings } = options;
  const graph = graphOf(options);
  findings.check("order", graph.operations.length);
  const every = new Set<Kind>(["ww", "rt", "wr", "rw", "session"]);
  if (cyclesIn(graph.nodes, graph.edges, every).length === 0) return;
  for (const [name, what, kinds] of anomalies) {
    const cycles = cyclesIn(graph.nodes, graph.edges, kinds);
    for (const cycle of cycles) {
      const found = `${name}: ${shownCycle(cycle, graph.operations)}`;
      const at = `the clients of partition ${options.partition}`;
      findings.add({ invariant: "order", at, aggregateId, expected: what, found });
    }
    if (cycles.length > 0) return; // What is weaker follows from it.
  }
}

/** A command or a read; beside them, moments of time are nodes. */
interface Operation {
  readonly name: string;
  /** By the clock of the history; infinity where nobody knows. */
  readonly invokedAt: number;
  readonly answeredAt: number;
}

/** The last read of a client in one view. */
interface LastRead {
  readonly node: number;
  readonly version: number;
  /** How many of the moves back are used up. */
  readonly excused: number;
}

interface Graph {
  readonly operations: readonly Operation[];
  /** The operations, and behind them the moments. */
  readonly nodes: number;
  readonly edges: readonly Edge<Kind>[];
}

function graphOf({ aggregate, movedBack }: OrderOptions): Graph {
  const { writers, reads } = aggregate;
  const commands = commandsInOrder(aggregate);
  const operations: Operation[] = commands.map(({ operation }) => operation);
  const edges: Edge<Kind>[] = [];
  const atOffset = new Map(commands.map(({ offset }, node) => [offset, node]));
  for (let node = 1; node < commands.length; node++) {
    edges.push({ from: node - 1, to: node, kind: "ww" });
  }
  const last = new Map<string, LastRead>();
  for (const read of reads) {
    const node = operations.length;
    const { who, version, answeredAt, session } = read;
    operations.push({ name: `${who} reads version ${version}`, invokedAt: Infinity, answeredAt });
    const seen = atOffset.get(writers[version - 1] ?? -1);
    const unseen = atOffset.get(writers[version] ?? -1);
    if (seen !== undefined) edges.push({ from: seen, to: node, kind: "wr" });
    // A view may have come to the middle of what one command did.
    if (unseen !== undefined && unseen !== seen) edges.push({ from: node, to: unseen, kind: "rw" });
    const before = last.get(session) ?? null;
    const moves = movedBack.filter((it) => it <= read.t).length;
    const isExcused = before !== null && version < before.version && before.excused < moves;
    if (before !== null && !isExcused) {
      edges.push({ from: before.node, to: node, kind: "session" });
    }
    last.set(session, { node, version, excused: isExcused ? moves : (before?.excused ?? 0) });
  }
  return { operations, ...withRealTime(operations, edges) };
}

/**
 * Every command that has a place in the log: those of the history, and those that others sent and that left events. A
 * command id that was sent several times is one operation, from its first sending to its first answer; one that ran
 * several times, having been forgotten in between, is none.
 */
function commandsInOrder({ commands, writers }: ClientAggregate) {
  const placed = new Map<number, Operation>();
  const unknown = { invokedAt: Infinity, answeredAt: Infinity };
  // Where an event is lost there is a hole.
  writers.forEach((offset) => {
    placed.set(offset, { name: `somebody else's command at ${offset}`, ...unknown });
  });
  for (const [commandId, { logged, invokedAt, answeredAt }] of commands) {
    const firsts = new Set(
      logged.filter(({ outcome }) => outcome !== "failed").map(({ firstOffset }) => firstOffset),
    );
    const [offset] = firsts;
    if (offset === undefined || firsts.size > 1) continue;
    placed.set(offset, { name: `command ${commandId} at ${offset}`, invokedAt, answeredAt });
  }
  return [...placed]
    .sort(([a], [b]) => a - b)
    .map(([offset, operation]) => ({ offset, operation }));
}

/**
 * Adds that what was answered comes before what was sent after it. Each answer is a moment, each moment comes after
 * the one before, and a command comes after the last moment before it was sent: as many edges as things, not pairs.
 */
function withRealTime(
  operations: readonly Operation[],
  edges: Edge<Kind>[],
): Pick<Graph, "nodes" | "edges"> {
  const sent = operations
    .map(({ invokedAt }, node) => ({ at: invokedAt, node, isAnswer: false }))
    .filter(({ at }) => at !== Infinity);
  const answered = operations
    .map(({ answeredAt }, node) => ({ at: answeredAt, node, isAnswer: true }))
    .filter(({ at }) => at !== Infinity);
  // Of one moment the sendings first: an answer is not before what is sent at the same time.
  const all = [...sent, ...answered].sort(
    (a, b) => a.at - b.at || Number(a.isAnswer) - Number(b.isAnswer),
  );
  let nodes = operations.length;
  let moment = -1;
  for (const { node, isAnswer } of all) {
    if (!isAnswer) {
      if (moment >= 0) edges.push({ from: moment, to: node, kind: "rt" });
      continue;
    }
    if (moment >= 0) edges.push({ from: moment, to: nodes, kind: "rt" });
    edges.push({ from: node, to: nodes, kind: "rt" });
    moment = nodes++;
  }
  return { nodes, edges };
}

/** From operation to operation; the moments in between are passed over. */
function shownCycle(cycle: readonly Edge<Kind>[], operations: readonly Operation[]): string {
  const first = cycle.findIndex(({ from }) => from < operations.length);
  const turned = [...cycle.slice(first), ...cycle.slice(0, first)];
  const steps = turned
    .filter(({ to }) => to < operations.length)
    .map(({ to, kind }) => ` ${kind}→ ${operations[to]?.name ?? ""}`);
  return `${operations[turned[0]?.from ?? 0]?.name ?? ""}${steps.join("")}`;
}

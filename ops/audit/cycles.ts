/** Cycles in directed graphs, in time linear in their edges. */

export interface Edge<K extends string> {
  readonly from: number;
  readonly to: number;
  readonly kind: K;
}

/**
 * A shortest cycle through some node of each strongly connected component of more than one node (Tarjan 1972, without
 * recursion: a history is longer than a stack is deep). Only edges of the given kinds count.
 */
export function cyclesIn<K extends string>(
  nodes: number,
  edges: readonly Edge<K>[],
  kinds: ReadonlySet<K>,
): readonly (readonly Edge<K>[])[] {
  const outgoing = Array.from({ length: nodes }, (): Edge<K>[] => []);
  for (const edge of edges) if (kinds.has(edge.kind)) outgoing[edge.from]?.push(edge);
  return components(outgoing).flatMap((component) => {
    const cycle = shortestCycle(component, outgoing);
    return cycle === null ? [] : [cycle];
  });
}

/** Those of more than one node. */
function components<K extends string>(outgoing: readonly Edge<K>[][]): number[][] {
  const unseen = -1;
  const order = new Int32Array(outgoing.length).fill(unseen);
  const lowest = new Int32Array(outgoing.length);
  const isOnStack = new Uint8Array(outgoing.length);
  const nextEdge = new Int32Array(outgoing.length);
  const stack: number[] = [];
  const found: number[][] = [];
  let visited = 0;
  const enter = (node: number, path: number[]) => {
    order[node] = lowest[node] = visited++;
    isOnStack[node] = 1;
    stack.push(node);
    path.push(node);
  };
  for (let root = 0; root < outgoing.length; root++) {
    if (order[root] !== unseen) continue;
    const path: number[] = [];
    enter(root, path);
    for (let node = path.at(-1); node !== undefined; node = path.at(-1)) {
      const at = nextEdge[node] ?? 0;
      nextEdge[node] = at + 1;
      const edge = outgoing[node]?.[at];
      if (edge !== undefined) {
        if (order[edge.to] === unseen) enter(edge.to, path);
        else if (isOnStack[edge.to] === 1) lower(lowest, node, order[edge.to] ?? 0);
        continue;
      }
      path.pop();
      const parent = path.at(-1);
      if (parent !== undefined) lower(lowest, parent, lowest[node] ?? 0);
      if (lowest[node] !== order[node]) continue;
      const component = stack.splice(stack.lastIndexOf(node));
      for (const member of component) isOnStack[member] = 0;
      if (component.length > 1) found.push(component);
    }
  }
  return found;
}

function lower(lowest: Int32Array, node: number, value: number): void {
  lowest[node] = Math.min(lowest[node] ?? value, value);
}

/** By breadth first, from the first node of the component back to it. */
function shortestCycle<K extends string>(
  component: readonly number[],
  outgoing: readonly Edge<K>[][],
): readonly Edge<K>[] | null {
  const [start] = component;
  if (start === undefined) return null;
  const members = new Set(component);
  const reachedBy = new Map<number, Edge<K>>();
  const queue = [start];
  for (let i = 0; i < queue.length && !reachedBy.has(start); i++) {
    for (const edge of outgoing[queue[i] ?? start] ?? []) {
      if (!members.has(edge.to) || reachedBy.has(edge.to)) continue;
      reachedBy.set(edge.to, edge);
      queue.push(edge.to);
    }
  }
  const cycle: Edge<K>[] = [];
  for (let node = start; cycle.length === 0 || node !== start;) {
    const edge = reachedBy.get(node);
    if (edge === undefined) return null;
    cycle.unshift(edge);
    node = edge.from;
  }
  return cycle;
}

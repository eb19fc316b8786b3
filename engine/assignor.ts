/** Who gets which partition: balanced to within one, and each member keeps what it has where that allows it. Pure. */

export interface Claim {
  readonly memberId: string;
  /** What the member owned when it asked, as `<topic>/<partition>`-like keys. */
  readonly owned: readonly string[];
}

/**
 * Assigns every key to exactly one member, deterministically. A member keeps its keys up to its share, so
 * that a rebalance moves no more than it must: each move costs a restore. Of two members that claim one
 * key the first in the order of their ids keeps it; fencing makes the other let go.
 */
export function assign(keys: readonly string[], claims: readonly Claim[]): Map<string, string[]> {
  const members = [...claims].sort((a, b) => (a.memberId < b.memberId ? -1 : 1));
  const unassigned = new Set(keys);
  const floor = Math.floor(keys.length / members.length);
  let extras = keys.length % members.length;
  const assigned = new Map<string, string[]>(members.map(({ memberId }) => [memberId, []]));

  const keep = (limit: number) => {
    for (const { memberId, owned } of members) {
      const mine = assigned.get(memberId) as string[];
      for (const key of owned) {
        if (mine.length >= limit || (limit > floor && extras === 0)) break;
        if (!unassigned.delete(key)) continue;
        mine.push(key);
        if (limit > floor) extras--;
      }
    }
  };
  keep(floor);
  keep(floor + 1);

  for (const limit of [floor, floor + 1]) {
    for (const { memberId } of members) {
      const mine = assigned.get(memberId) as string[];
      for (const key of unassigned) {
        if (mine.length >= limit) break;
        unassigned.delete(key);
        mine.push(key);
      }
    }
  }
  return assigned;
}

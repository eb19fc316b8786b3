import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { assign, type Claim } from "./assignor.ts";

/** fast-check prints the seed of a failure; `SEED=…` repeats it. */
const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);

const name = (kind: string) => (n: number) => `${kind}-${n}`;
const keysUpTo = (count: number) => Array.from({ length: count }, (_, i) => name("key")(i));

/** Members whose claims may overlap, repeat, and name keys that are no more. */
const anyClaims = fc.uniqueArray(fc.nat(50), { minLength: 1, maxLength: 12 }).chain((members) =>
  fc.tuple(
    ...members.map((member) =>
      fc.record({
        memberId: fc.constant(name("member")(member)),
        owned: fc.array(fc.nat(40).map(name("key")), { maxLength: 20 }),
      }),
    ),
  ),
);
const anyKeys = fc.nat(36).map(keysUpTo);

/** Members that own what an earlier assignment gave them: no key is claimed twice. */
const disjointClaims = fc
  .tuple(fc.array(fc.nat(9), { maxLength: 36 }), fc.integer({ min: 1, max: 10 }))
  .map(([owners, members]) =>
    Array.from({ length: members }, (_, member) => ({
      memberId: name("member")(member),
      owned: owners.flatMap((owner, key) => (owner === member ? [name("key")(key)] : [])),
    })),
  );

function heldBefore(claims: readonly Claim[], assigned: Map<string, string[]>): number {
  let kept = 0;
  for (const { memberId, owned } of claims) {
    kept += (assigned.get(memberId) ?? []).filter((key) => owned.includes(key)).length;
  }
  return kept;
}

/** The most keys that can stay where they are if the shares are to be within one of each other. */
function mostThatCanStay(keys: readonly string[], claims: readonly Claim[]): number {
  const floor = Math.floor(keys.length / claims.length);
  const owned = claims.map((claim) => claim.owned.filter((key) => keys.includes(key)).length);
  const stay = owned.reduce((sum, count) => sum + Math.min(count, floor), 0);
  const above = owned.filter((count) => count > floor).length;
  return stay + Math.min(above, keys.length % claims.length);
}

describe("An assignment", () => {
  test("gives every key to exactly one member", () => {
    fc.assert(
      fc.property(anyKeys, anyClaims, (keys, claims) => {
        const assigned = assign(keys, claims);
        expect([...assigned.keys()].sort()).toEqual(claims.map(({ memberId }) => memberId).sort());
        expect([...assigned.values()].flat().sort()).toEqual([...keys].sort());
      }),
      { seed },
    );
  });

  test("is balanced to within one key", () => {
    fc.assert(
      fc.property(anyKeys, anyClaims, (keys, claims) => {
        const shares = [...assign(keys, claims).values()].map((mine) => mine.length);
        expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1);
      }),
      { seed },
    );
  });

  test("moves no more keys than the balance demands", () => {
    fc.assert(
      fc.property(anyKeys, disjointClaims, (keys, claims) => {
        expect(heldBefore(claims, assign(keys, claims))).toBe(mostThatCanStay(keys, claims));
      }),
      { seed },
    );
  });

  test("made again from itself is the same", () => {
    fc.assert(
      fc.property(anyKeys, anyClaims, (keys, claims) => {
        const once = assign(keys, claims);
        const claimed = [...once].map(([memberId, owned]) => ({ memberId, owned }));
        expect(sorted(assign(keys, claimed))).toEqual(sorted(once));
      }),
      { seed },
    );
  });

  test("does not depend on the order in which the members asked", () => {
    fc.assert(
      fc.property(anyKeys, anyClaims, (keys, claims) => {
        expect(sorted(assign(keys, [...claims].reverse()))).toEqual(sorted(assign(keys, claims)));
      }),
      { seed },
    );
  });

  test("lets the first of two that claim a key keep it", () => {
    const claims = ["b", "a"].map((memberId) => ({ memberId, owned: ["key-0"] }));
    expect(assign(["key-0", "key-1"], claims).get("a")).toEqual(["key-0"]);
  });

  test("leaves a member without a key where there are more members than keys", () => {
    const claims = ["a", "b"].map((memberId) => ({ memberId, owned: [] }));
    expect(assign(["key-0"], claims)).toEqual(
      new Map([
        ["a", ["key-0"]],
        ["b", []],
      ]),
    );
  });
});

function sorted(assigned: Map<string, string[]>): Map<string, string[]> {
  return new Map([...assigned].map(([memberId, keys]) => [memberId, [...keys].sort()]));
}

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  aggregateIdOfSnapshot,
  eventKey,
  isValidId,
  issueTimeOf,
  parseEventKey,
  partitionOf,
  payloadHash,
  positionKey,
  reusedIdReplyKey,
  snapshotKey,
  transactionalId,
  unidentifiedReplyKey,
} from "./message.ts";

/** fast-check prints the seed of a failure; `SEED=…` repeats it. */
const seed = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);

const validId = fc.string({ unit: "binary", minLength: 1, maxLength: 60 });

/** Key → `Utils.toPositive(Utils.murmur2(key))`, by Kafka's own class (kafka-clients 4.3.1). */
const javaHashes: readonly (readonly [key: string, hash: number])[] = [
  ["a", 584102524],
  ["ab", 316155434],
  ["abc", 479470107],
  ["abcd", 823834100],
  ["abcde", 461995741],
  ["account-1", 1835529620],
  ["account-2", 34099444],
  ["ACC-0001", 1288898365],
  ["/", 690997008],
  ["\n", 1378032140],
  ["é", 186971271],
  ["中文", 1074123597],
  ["😀", 131881617],
  ["𝒳-1", 1299237796],
  ["__proto__", 1103376828],
  ["1/2/3", 384240053],
  ["0192f7a0-1b2c-7d3e-8f40-123456789abc", 1798950331],
  ["key with spaces", 1291295160],
  ["\u0000", 375494588],
  ["\u00ff\u0100", 1925129163],
  ["a".repeat(31), 1552241618],
  ["z".repeat(255), 1024947842],
  ["key", 1067546281],
  ["Zürich", 596342833],
];

describe("The partition of an aggregate", () => {
  test("is the one that Kafka's Java client gives the key", () => {
    for (const [key, hash] of javaHashes) {
      for (const partitions of [12, 50, 2 ** 31]) {
        expect(partitionOf(key, partitions), key).toBe(hash % partitions);
      }
    }
  });

  test("is one of those that there are", () => {
    fc.assert(
      fc.property(validId, fc.integer({ min: 1, max: 1_000 }), (id, partitions) => {
        const partition = partitionOf(id, partitions);
        expect(partition).toBeGreaterThanOrEqual(0);
        expect(partition).toBeLessThan(partitions);
      }),
      { seed },
    );
  });
});

describe("An id", () => {
  test.each(["a", "__proto__", "line\nbreak", "'; drop table", "😀", "@position"])(
    "may be %j",
    (id) => {
      expect(isValidId(id)).toBe(true);
    },
  );

  test("may have 255 bytes", () => {
    expect(isValidId("x".repeat(255))).toBe(true);
  });

  test.each([
    ["of no characters", ""],
    ["of more than 255 bytes", "x".repeat(256)],
    ["of fewer characters, but more than 255 bytes", "é".repeat(128)],
    ["with half a surrogate pair", "a\ud800b"],
    ["with U+0000, which Postgres cannot store", "a\0b"],
  ])("may not be one %s", (_, id) => {
    expect(isValidId(id)).toBe(false);
  });
});

describe("The key of an event", () => {
  test("gives back the aggregate and the version, whatever the id holds", () => {
    fc.assert(
      fc.property(validId, fc.integer({ min: 1, max: 2 ** 52 }), (aggregateId, version) => {
        expect(parseEventKey(eventKey(aggregateId, version))).toEqual({ aggregateId, version });
      }),
      { seed },
    );
  });

  test("differs for each aggregate and version, also where an id looks like another's key", () => {
    expect(eventKey("a/1", 2)).not.toBe(eventKey("a", 1));
    expect(parseEventKey("a/1/2")).toEqual({ aggregateId: "a/1", version: 2 });
  });

  test.each(["", "a", "/1", "a/", "a/0", "a/01", "a/-1", "a/1.5", "a/1e3", "a/12345678901234567"])(
    "is not %j",
    (key) => {
      expect(parseEventKey(key)).toBeNull();
    },
  );
});

describe("The key of a snapshot", () => {
  test("gives back the aggregate id, and is never the reserved one", () => {
    const id = fc.oneof(validId, fc.constantFrom("@", "@@", positionKey, `@${positionKey}`));
    fc.assert(
      fc.property(id, (aggregateId) => {
        const key = snapshotKey(aggregateId);
        expect(aggregateIdOfSnapshot(key)).toBe(aggregateId);
        expect(key).not.toBe(positionKey);
      }),
      { seed },
    );
  });
});

test("the names that others read are spelled as they have always been", () => {
  expect(unidentifiedReplyKey(3, 42n)).toBe("@3/42");
  expect(reusedIdReplyKey("c-1", 42n)).toBe("c-1@42");
  expect(transactionalId("bank.account", "bank.account.commands", 7)).toBe(
    "bank.account.bank.account.commands.7",
  );
});

describe("The issue time of a command", () => {
  const uuid = "0192f7a0-1b2c-7d3e-8f40-123456789abc";
  const time = 0x0192f7a01b2c;

  test("is the one in a UUIDv7, whatever the command says", () => {
    expect(issueTimeOf(uuid, null)).toBe(time);
    expect(issueTimeOf(uuid.toUpperCase(), 5)).toBe(time);
  });

  test.each([
    ["another version of UUID", "0192f7a0-1b2c-4d3e-8f40-123456789abc"],
    ["another variant of UUID", "0192f7a0-1b2c-7d3e-cf40-123456789abc"],
    ["more than a UUID", `${uuid}-1`],
    ["no UUID", "c-1"],
  ])("is what the command says where the id is %s, else unknown", (_, id) => {
    expect(issueTimeOf(id, 5)).toBe(5);
    expect(issueTimeOf(id, null)).toBeNull();
  });
});

describe("The hash of a payload", () => {
  const hash = (
    type: string,
    data: Record<string, unknown>,
    defaults = new Map<string, unknown>(),
  ) => payloadHash(type, data, defaults).toString("hex");
  const deposit = { commandId: "c", issuedAt: 1, accountId: "a", amountCents: 5 };

  test("has 16 bytes, and outlives a release", () => {
    expect(hash("DepositFunds", deposit)).toBe("b11d3589f1a6289aeee5bcda5e57b1ed");
  });

  test("is the same for another command id, issue time and order of fields", () => {
    const same = { amountCents: 5, accountId: "a", issuedAt: 2, commandId: "d" };
    expect(hash("DepositFunds", same)).toBe(hash("DepositFunds", deposit));
  });

  test("differs for another type, value or field", () => {
    const hashes = [
      hash("DepositFunds", deposit),
      hash("WithdrawFunds", deposit),
      hash("DepositFunds", { ...deposit, amountCents: 6 }),
      hash("DepositFunds", { ...deposit, amountCents: "5" }),
      hash("DepositFunds", { ...deposit, memo: null }),
    ];
    expect(new Set(hashes).size).toBe(hashes.length);
  });

  test("is the same whether or not a field that has its default is there", () => {
    const defaults = new Map<string, unknown>([["memo", null]]);
    const added = { ...deposit, memo: null };
    expect(hash("DepositFunds", added, defaults)).toBe(hash("DepositFunds", deposit, defaults));
    const used = { ...deposit, memo: "rent" };
    expect(hash("DepositFunds", used, defaults)).not.toBe(hash("DepositFunds", deposit, defaults));
  });
});

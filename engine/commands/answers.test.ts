import { beforeEach, expect, test } from "vitest";
import { MemoryStoreFiles } from "../testing/memory-store.ts";
import { Answers, windowLimits } from "./answers.ts";

let answers: Answers;

beforeEach(async () => {
  answers = new Answers(await new MemoryStoreFiles().open("t/0"), windowLimits);
});

/** Answers whose replies have these offsets; the command's id is the offset. */
function remember(...offsets: readonly number[]): void {
  for (const offset of offsets) {
    const answer = {
      outcome: "accepted" as const,
      version: 1,
      reason: null,
      firstOffset: BigInt(offset),
      hash: Buffer.alloc(16),
      issueTime: null,
      appendTime: 0,
    };
    const known = { aggregateId: "a", commandId: String(offset), answer };
    answers.remember(known, BigInt(offset));
  }
}
const known = (...offsets: readonly number[]) =>
  offsets.filter((offset) => answers.find("a", String(offset)) !== null);

test("forgets the answers before an offset, and each time that it is told a later one", () => {
  remember(10, 11, 14, 15, 16, 17);
  answers.forgetBefore(8n);
  expect(known(10, 11, 14, 15, 16, 17)).toEqual([10, 11, 14, 15, 16, 17]);
  answers.forgetBefore(12n);
  expect(known(10, 11, 14, 15, 16, 17)).toEqual([14, 15, 16, 17]);
  answers.forgetBefore(15n);
  expect(known(14, 15, 16, 17)).toEqual([15, 16, 17]);
  answers.forgetBefore(15n);
  answers.forgetBefore(16n);
  answers.forgetBefore(17n);
  expect(known(15, 16, 17)).toEqual([17]);
  expect(answers.count).toBe(1);
});

test("forgets nothing that comes after an offset at which there was nothing left", () => {
  remember(3);
  answers.forgetBefore(9n);
  remember(9, 10);
  answers.forgetBefore(9n);
  expect(known(3, 9, 10)).toEqual([9, 10]);
  answers.forgetBefore(10n);
  expect(known(9, 10)).toEqual([10]);
});

test("does not forget by their number those of a sender whose clock is ahead, before it is that late", async () => {
  const files = new MemoryStoreFiles();
  const few = new Answers(await files.open("t/0"), { ...windowLimits, maxCount: 1 });
  const now = 1_000_000;
  const answer = (issueTime: number, appendTime = now) => ({
    ...{ outcome: "accepted" as const, version: 1, reason: null, firstOffset: 0n },
    ...{ hash: Buffer.alloc(16), issueTime, appendTime },
  });
  few.remember({ aggregateId: "a", commandId: "ahead", answer: answer(now + 250_000) }, 0n);
  few.remember({ aggregateId: "a", commandId: "right", answer: answer(now) }, 1n);
  const coming = [{ aggregateId: "a", commandId: "next", answer: answer(now + 10) }];
  expect(few.evictions(coming, 2n, now).edge.horizon).toBeNull();
  const later = few.evictions(coming, 2n, now + 250_000);
  expect([later.evicted.length, later.edge.horizon]).toEqual([2, now + 250_000]);
});

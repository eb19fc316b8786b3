import { describe, expect, test } from "vitest";
import { KafkaClient } from "./client.ts";
import { retriable } from "./failure.ts";
import { untilDefinite } from "./retry.ts";

const nowhere = { brokers: ["127.0.0.1:1"], clientId: "test", tls: null, sasl: null };

/** A coordinator that answers with these codes, one after the other, and then with "done". */
async function asked(codes: ReadonlySet<number>, ...answers: readonly number[]) {
  const client = new KafkaClient(nowhere);
  client.refresh = async () => undefined;
  const left = [...answers];
  let times = 0;
  try {
    const answer = await untilDefinite(client, codes, async () => {
      times += 1;
      const code = left.shift();
      if (code !== undefined) throw Object.assign(new Error(`code ${code}`), { code });
      return "done";
    });
    return { answer, times };
  } catch (error) {
    return { answer: (error as { readonly code: number }).code, times };
  } finally {
    client.close();
  }
}

const [loading, notAvailable, notCoordinator, concurrent] = [14, 15, 16, 51] as const;

describe("A request that changes something", () => {
  test.each([loading, notAvailable, notCoordinator, concurrent])(
    "is made again after code %i, which says that nothing has happened",
    async (code) => {
      expect(await asked(retriable.coordinator, code, code)).toEqual({ answer: "done", times: 3 });
    },
  );

  test("is not made again after any other answer", async () => {
    const [timedOut, fenced] = [7, 90];
    expect(await asked(retriable.coordinator, timedOut)).toEqual({ answer: timedOut, times: 1 });
    expect(await asked(retriable.coordinator, fenced)).toEqual({ answer: fenced, times: 1 });
  });
});

describe("The end of a transaction", () => {
  test.each([loading, concurrent])("is asked for again after code %i", async (code) => {
    expect(await asked(retriable.endTxn, code)).toEqual({ answer: "done", times: 2 });
  });

  test.each([notAvailable, notCoordinator])(
    "is not asked for again after code %i: the coordinator may have decided before it lost its place",
    async (code) => {
      expect(await asked(retriable.endTxn, code)).toEqual({ answer: code, times: 1 });
    },
  );
});

import { expect, test } from "vitest";
import type { KafkaClient, WireRequest } from "./client.ts";
import { produce, type ProducerSession } from "./produce.ts";

const code = { none: 0, timedOut: 7, notLeader: 6, notEnoughReplicas: 19, afterAppend: 20 };
const record = { topic: "t", partition: 0, key: "k", value: null, headers: [], timestamp: 0 };

const newSession = (): ProducerSession => ({
  transactionalId: null,
  producerId: 7n,
  producerEpoch: 0,
  sequences: new Map(),
  acknowledged: new Map(),
});

/** A leader of partition t/0 that gives these answers, one a request, and the requests it gets. */
function leaderAnswering(...codes: number[]) {
  const requests: Buffer[] = [];
  const client = {
    leaderOf: async () => "the leader",
    refresh: async () => undefined,
    send: async (_: unknown, request: WireRequest<unknown>) => {
      requests.push(request.body);
      return request.decode(answer(codes.shift() ?? code.none, requests.length));
    },
  };
  return { client: client as unknown as KafkaClient, requests };
}

/** A Produce answer, version 7, for partition t/0. */
function answer(errorCode: number, baseOffset: number): Buffer {
  const bytes = Buffer.alloc(4 + 3 + 4 + 4 + 2 + 8 + 8 + 8 + 4);
  let at = bytes.writeInt32BE(1, 0);
  at = bytes.writeInt16BE(1, at);
  at += bytes.write("t", at);
  at = bytes.writeInt32BE(1, at);
  at = bytes.writeInt32BE(0, at);
  at = bytes.writeInt16BE(errorCode, at);
  bytes.writeBigInt64BE(errorCode === 0 ? BigInt(baseOffset) : -1n, at);
  return bytes;
}

test.each([code.notLeader, code.notEnoughReplicas])(
  "a batch that was not appended is sent again, byte for byte and in its place (code %i)",
  async (refusal) => {
    const session = newSession();
    const { client, requests } = leaderAnswering(refusal, code.none);
    expect(await produce(client, session, [record])).toEqual([2n]);
    expect(requests).toHaveLength(2);
    expect(requests[1]?.equals(requests[0] ?? Buffer.alloc(0))).toBe(true);
    expect(session.sequences.get("0/t")).toBe(1);
  },
);

test.each([code.timedOut, code.afterAppend, -1])(
  "a batch of which nobody knows is not sent again (code %i)",
  async (open) => {
    const { client, requests } = leaderAnswering(open);
    await expect(produce(client, newSession(), [record])).rejects.toMatchObject({ code: open });
    expect(requests).toHaveLength(1);
  },
);

test("an answer that leaves a batch out is no answer to it", async () => {
  const { client } = leaderAnswering(code.none);
  const elsewhere = { ...record, partition: 1 };
  await expect(produce(client, newSession(), [elsewhere])).rejects.toThrow(
    "did not answer for t/1",
  );
});

test.each([null, "an id"])(
  "every replica in sync is waited for, whatever a topic may demand (transactional id: %s)",
  async (transactionalId) => {
    const { client, requests } = leaderAnswering(code.none);
    await produce(client, { ...newSession(), transactionalId }, [record]);
    const acks = 2 + (transactionalId?.length ?? 0); // Behind the transactional id, with its length.
    expect(requests[0]?.readInt16BE(acks)).toBe(-1);
  },
);

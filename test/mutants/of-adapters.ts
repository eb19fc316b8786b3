import type { Killer, Mutant } from "./mutant.ts";

/** Bugs in the Kafka adapter, and in what sends commands and hears their answers. */

const contract: Killer = { by: "contract", file: "test/broker/log-contract.test.ts" };
const connections: Killer = { by: "integration", file: "test/broker/connections.test.ts" };
const reading: Killer = { by: "unit", file: "engine/kafka/reader.test.ts" };
const conversation: Killer = { by: "unit", file: "engine/sending/conversation.test.ts" };

const writer = "engine/kafka/writer.ts";
const reader = "engine/kafka/reader.ts";

export const mutantsOfAdapters: readonly Mutant[] = [
  {
    name: "end-transaction-again",
    breaks: "G2: EndTxn is sent again in the same epoch when its answer was lost.",
    file: writer,
    find: "await this.ask(retriable.endTxn, (coordinator) =>",
    replace: `
      const end: typeof this.ask = (codes, ask) =>
        this.ask(codes, ask).catch(async (error: unknown) => {
          if (producerFailure(call, error).name !== "WriterLostError") throw error;
          this.coordinator = null;
          await this.client.refresh();
          return this.ask(codes, ask);
        });
      await end(retriable.endTxn, (coordinator) =>`,
    killedBy: contract,
  },
  {
    name: "abort-and-go-on",
    breaks:
      "G2: after an indefinite error the transaction is aborted in the same epoch, as kafkajs does.",
    file: writer,
    find: "this.client.close();\n      throw producerFailure(call, error);",
    replace: `
      await this.ask(retriable.endTxn, (coordinator) =>
        coordinator.endTxn({ ...this.identity(), transactionResult: false }),
      );
      this.usable = true;
      throw producerFailure(call, error);`,
    killedBy: contract,
  },
  {
    name: "writer-used-again",
    breaks: "G2: a writer that failed is used again.",
    file: writer,
    find: "this.usable = false; // Until this transaction is known to be committed.",
    replace: "this.usable = true;",
    killedBy: contract,
  },
  {
    name: "group-offset-left-out",
    breaks: "The group's offset stays where it was, and lag tools and autoscalers see no progress.",
    file: writer,
    find: "if (consumed) {",
    replace: "if (consumed && records.length === 0) {",
    killedBy: contract,
  },
  {
    name: "brokers-as-stock",
    breaks: "A worker whose first answer is late never starts, though the broker answers again.",
    file: "engine/kafka/kafkajs.ts",
    find: "    hardenBroker(broker);\n",
    replace: "",
    killedBy: connections,
  },
  {
    name: "half-an-answer-kept",
    breaks: "A connection that ended in the middle of an answer makes nonsense of all that follow.",
    file: "engine/kafka/hardening.ts",
    find: "connection.chunks = [];\n    connection.bytesBuffered = 0;\n",
    replace: "",
    killedBy: connections,
  },
  {
    name: "first-seed-only",
    breaks: "With the first of the brokers down, no writer can be opened.",
    file: "engine/kafka/hardening.ts",
    find: "if (tried < seeds) continue;",
    replace: "",
    killedBy: connections,
  },
  {
    name: "records-without-transaction",
    breaks:
      "G2: record batches are not marked as of a transaction, and so are read before it ends.",
    file: "engine/kafka/produce.ts",
    find: "const transactional = session.transactionalId !== null;",
    replace: 'const transactional = session.transactionalId === "";',
    killedBy: contract,
  },
  {
    name: "writer-without-stable-id",
    breaks: "G11: each writer has an id of its own, and fences nobody.",
    file: writer,
    find: "const identity = await untilDefinite(client, retriable.coordinator, async () => {\n        const coordinator",
    replace:
      "transactionalId += String(Math.random());\n      const identity = await untilDefinite(client, retriable.coordinator, async () => {\n        const coordinator",
    killedBy: contract,
  },
  {
    name: "producer-goes-on",
    breaks: "G1: a producer that lost an answer goes on, and loses the next send in silence.",
    file: writer,
    find: `this.failure ??= producerFailure("Produce", error);
        this.client.close();
        for (const { failed } of sends) failed(this.failure);`,
    replace: `for (const { failed } of sends) failed(producerFailure("Produce", error));`,
    killedBy: contract,
  },
  {
    name: "acknowledged-by-leader-alone",
    breaks: "G1: a record counts as written before its replicas have it.",
    file: "engine/kafka/produce.ts",
    find: "at = head.writeInt16BE(-1, at); // acks=all",
    replace: "at = head.writeInt16BE(1, at);",
    killedBy: { by: "unit", file: "engine/kafka/produce.test.ts" },
  },
  {
    name: "lost-send-unseen",
    breaks: "G1: an acknowledgement of an offset that was acknowledged before is believed.",
    file: "engine/kafka/produce.ts",
    find: "last !== undefined && base <= last",
    replace: "last !== undefined && base < 0n",
    killedBy: { by: "integration", file: "test/broker/produce.test.ts" },
  },
  {
    name: "fencing-taken-for-fault",
    breaks: "G11: a fenced writer is not told from a broken one.",
    file: "engine/kafka/failure.ts",
    find: "if (answered !== null && fenced.has(answered)) {",
    replace: "if (answered !== null && fenced.has(-answered)) {",
    killedBy: contract,
  },
  {
    name: "end-transaction-retried-elsewhere",
    breaks:
      "G2: EndTxn is sent again after an answer that does not say whether the decision was taken.",
    file: "engine/kafka/failure.ts",
    find: "endTxn: new Set<number>([code.coordinatorLoading, code.concurrentTransactions]),",
    replace:
      "endTxn: new Set<number>([code.coordinatorLoading, code.notCoordinator, code.concurrentTransactions]),",
    killedBy: { by: "unit", file: "engine/kafka/retry.test.ts" },
  },
  {
    name: "read-uncommitted",
    breaks: "G1: records of open transactions are read.",
    file: reader,
    find: "at = body.writeInt8(readCommitted, at);",
    replace: "at = body.writeInt8(readUncommitted, at);",
    killedBy: contract,
  },
  {
    name: "aborted-records-read",
    breaks: "G1: records of aborted transactions are read.",
    file: reader,
    find: "if (batch.transactional && aborting.has(batch.producerId)) continue;",
    replace: "",
    killedBy: contract,
  },
  {
    name: "position-by-data-records",
    breaks: "A reader's position stays before control records, and never reaches the end.",
    file: reader,
    find: 'next = batch.lastOffset + 1n;\n    if (batch.control === "abort") aborting.delete(batch.producerId);\n    if (batch.control !== null) continue;',
    replace:
      'if (batch.control === "abort") aborting.delete(batch.producerId);\n    if (batch.control !== null) continue;\n    next = batch.lastOffset + 1n;',
    killedBy: contract,
  },
  {
    name: "aborted-by-end-order",
    breaks: "G1: aborted transactions are taken in the order in which they ended.",
    file: reader,
    find: "const begun = [...fetched.aborted].sort((a, b) => (a.firstOffset < b.firstOffset ? -1 : 1));",
    replace: "const begun = fetched.aborted;",
    killedBy: reading,
  },
  {
    name: "end-by-stable-offset",
    breaks: "G11: the end of a partition is told as its last stable offset.",
    file: reader,
    find: "end: await ask(latest, readUncommitted),",
    replace: "end: await ask(latest, readCommitted),",
    killedBy: contract,
  },
  {
    name: "confirmed-without-asking",
    breaks: "G11: a worker is sure that a partition is its own without asking the group.",
    file: "engine/kafka/group.ts",
    find: "try {\n      await this.heartbeat();\n    } catch {",
    replace: "try {\n      await this.heartbeats.refresh();\n    } catch {",
    killedBy: { by: "integration", file: "test/broker/ownership.test.ts" },
  },
  {
    name: "sender-keeps-producer",
    breaks: "G1: a sender goes on with a producer that has lost an answer.",
    file: "engine/sending/conversation.ts",
    find: "await line.producer?.close();\n      line.producer = null;",
    replace: "",
    killedBy: conversation,
  },
  {
    name: "sender-does-not-repeat",
    breaks: "G1: a sender takes a send whose answer was lost for done.",
    file: "engine/sending/conversation.ts",
    find: "const mayPass = error instanceof WriterLostError || error instanceof TransientError;",
    replace: `
      if (error instanceof WriterLostError) return records.map(() => 0n);
      const mayPass = error instanceof TransientError;`,
    killedBy: conversation,
  },
  {
    name: "stale-reply-trusted",
    breaks: "G3: the first reply that comes is taken for the answer, whatever it answers.",
    file: "engine/sending/reply-lane.ts",
    find: "const reply = this.early.get(at);",
    replace: "const [reply] = this.early.values();",
    killedBy: { by: "unit", file: "engine/sending/reply-lane.test.ts" },
  },
  {
    name: "earlier-sending-trusted",
    breaks: "G3: the status of a sending is the answer to an earlier one of the same id.",
    file: "engine/gateway/command-statuses.ts",
    find: "answersUpTo(row) >= offset",
    replace: "answersUpTo(row) >= offset - 1_000_000n",
    killedBy: { by: "integration", file: "test/http/command-statuses.test.ts" },
  },
];

import type { TopicPartition } from "../../../engine/log.ts";
import { type Api, Connection } from "../../../ops/audit/connection.ts";
import { array, int16, int32, int8, string, struct } from "../../../ops/audit/wire.ts";

/** Who does what in a cluster now, asked of whichever broker answers. */

const metadata: Api = { key: 3, version: 4 };
const describeQuorum: Api = { key: 55, version: 0 };
/** Version 2 says all of its errors at the top. */
const updateFeatures: Api = { key: 57, version: 2 };

/** The number of the broker that leads this partition; `null` where none does, or none answers. */
export async function leaderOf(bootstrap: string, of: TopicPartition): Promise<number | null> {
  return (await replicasOf(bootstrap, of))?.leader ?? null;
}

/** Which broker leads this partition, and how many replicas are in sync; `null` where none leads, or none answers. */
export function replicasOf(
  bootstrap: string,
  { topic, partition }: TopicPartition,
): Promise<{ readonly leader: number; readonly inSync: number } | null> {
  const body = struct(array([string(topic)]), int8(0)); // It is not to be created.
  return askAny(bootstrap, (connection) =>
    connection.ask(metadata, body, (answer) => {
      answer.int32(); // Throttled for so long.
      answer.array((broker) => [broker.int32(), broker.string(), broker.int32(), broker.string()]);
      answer.string();
      answer.int32();
      const [found = []] = answer.array((it) => {
        it.int16();
        it.string();
        it.int8();
        return it.array((part) => {
          part.int16();
          const [number, leader] = [part.int32(), part.int32()];
          part.array((replica) => replica.int32());
          const inSync = part.array((replica) => replica.int32()).length;
          return { number, leader, inSync };
        });
      });
      const { leader, inSync } = found.find(({ number }) => number === partition) ?? {};
      return leader === undefined || inSync === undefined || leader < 0 ? null : { leader, inSync };
    }),
  );
}

/** The number of the active controller (KIP-595); `null` while there is none, or none answers. */
export function activeController(bootstrap: string): Promise<number | null> {
  const name = Buffer.from("__cluster_metadata");
  const tags = int8(0);
  // Lengths are one more than they are, and everything ends with tagged fields, of which there are none.
  const topic = struct(int8(name.length + 1), name, int8(2), int32(0), tags, tags);
  const body = struct(tags, int8(2), topic, tags);
  return askAny(bootstrap, (connection) =>
    connection.ask(describeQuorum, body, (answer) => {
      answer.int8(); // Tagged fields of the header.
      if (answer.int16() !== 0) return null;
      answer.int8();
      for (let left = answer.int8() - 1; left > 0; left--) answer.int8();
      answer.int8();
      answer.int32();
      if (answer.int16() !== 0) return null;
      const leader = answer.int32();
      return leader < 0 ? null : leader;
    }),
  );
}

/** Sets the level of transactions (KIP-890), for the whole cluster. @throws Error with what the controller says */
export async function setTransactionVersion(bootstrap: string, level: number): Promise<void> {
  const name = Buffer.from("transaction.version");
  const tags = int8(0);
  const safeDowngrade = 2;
  const upgradeType = int8(level === 0 ? safeDowngrade : 1);
  const update = struct(int8(name.length + 1), name, int16(level), upgradeType, tags);
  const isForReal = int8(0);
  const body = struct(tags, int32(10_000), int8(2), update, isForReal, tags);
  const code = await askAny(bootstrap, (connection) =>
    connection.ask(updateFeatures, body, (answer) => {
      answer.int8(); // Tagged fields of the header.
      answer.int32(); // Throttled for so long.
      return answer.int16();
    }),
  );
  if (code !== 0) throw new Error(`transaction.version cannot be set to ${level}: code ${code}`);
}

async function askAny<T>(
  bootstrap: string,
  ask: (connection: Connection) => Promise<T | null>,
): Promise<T | null> {
  for (const address of bootstrap.split(",")) {
    const [host = "", port] = address.split(":");
    try {
      const settings = { brokers: [address], clientId: "chaos", tls: null, sasl: null };
      const connection = await Connection.open({ host, port: Number(port) }, settings);
      try {
        const answer = await ask(connection);
        if (answer !== null) return answer;
      } finally {
        connection.close();
      }
    } catch {
      // It is away, or cut off: the next one may answer.
    }
  }
  return null;
}

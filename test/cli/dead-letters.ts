import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openCodec } from "../../engine/avro/avro-codec.ts";
import { openRegistry } from "../../engine/avro/registry.ts";
import { systemClock } from "../../engine/clock.ts";
import { kafkaLog } from "../../engine/kafka/kafka-log.ts";
import type { Log, OutRecord } from "../../engine/log.ts";
import { topics } from "../../topics/catalog.ts";
import { commandRecord } from "../bank.ts";
import { until } from "../until.ts";
import { jsonLines, type OwnBank } from "./own-bank.ts";

/** `foldlog dlq`: records that only another client than ours would send. */
export function deadLetterTests(bank: () => OwnBank): void {
  const account = `dead-${randomBytes(4).toString("hex")}`;
  const { commands } = topics.account;
  const garbage = Buffer.from("no Avro at all\n\x1b[31m");
  let log: Log;
  let misplaced: OutRecord;
  /** Code → `partition/offset` of the dead letters of these tests. */
  const at = new Map<string, string>();

  beforeAll(async () => {
    const { brokers, registryUrl } = bank().stack;
    log = kafkaLog({ brokers: [brokers], clientId: "test", tls: null, sasl: null });
    const registry = openRegistry({ url: registryUrl, requestTimeoutMs: 5_000 });
    const options = { registry, topics: [commands], unknownIdWaitMs: 0, clock: systemClock };
    const codec = await openCodec(options, new AbortController().signal);
    const data = { commandId: `${account}-1`, accountId: account, owner: "Ada" };
    const sound = commandRecord({ topics: topics.account, codec }, "OpenAccount", data);
    misplaced = { ...sound, partition: (sound.partition + 1) % commands.partitions };
    const unknown = Buffer.from([0, 0x7f, 0xff, 0xff, 0xff, 1]);
    const producer = await log.openProducer();
    await producer.send([misplaced, { ...sound, value: garbage }, { ...sound, value: unknown }]);
    await producer.close();
    await until("the dead letters", async () => {
      const found = jsonLines(await bank().foldlog(["dlq", "list", "--json"]));
      for (const { key, code, partition, offset } of found) {
        if (key === account) at.set(String(code), `${String(partition)}/${String(offset)}`);
      }
      return at.size === 3;
    });
  });
  afterAll(async () => {
    await log.close();
  });
  const coordinates = (code: string) => at.get(code) ?? "";

  test("is listed with its coordinates, its code and its command", async () => {
    const args = ["dlq", "list", "--code", "WRONG_PARTITION"];
    const { stdout } = await bank().foldlog(args);
    const row = stdout.split("\n").find((line) => line.includes(account));
    expect(row).toContain(coordinates("WRONG_PARTITION"));
    expect(row).toContain(`bank.account.commands/${misplaced.partition}/`);
    expect(row).toContain(`OpenAccount ${account}-1`);
    expect(
      jsonLines(await bank().foldlog([...args, "--json"])).every(
        (it) => it["code"] === "WRONG_PARTITION",
      ),
    ).toBe(true);
    expect(jsonLines(await bank().foldlog(["dlq", "list", "--json", "--limit", "1"]))).toHaveLength(
      1,
    );
  });

  test("is shown decoded, or in hex with what is wrong, and cannot steer the terminal", async () => {
    const wrong = await bank().foldlog(["dlq", "show", coordinates("WRONG_PARTITION")]);
    expect(wrong.stdout).toMatch(/value, \d+ bytes: OpenAccount/);
    expect(wrong.stdout).toContain(`accountId        "${account}"`);
    const bad = await bank().foldlog(["dlq", "show", coordinates("BAD_WIRE_FORMAT")]);
    expect(bad.stdout).toMatch(/cannot be read: BAD_WIRE_FORMAT/);
    expect(bad.stdout).toContain("00000000  6e 6f 20 41 76 72 6f");
    expect(bad.stdout).not.toContain("\x1b");
  });

  test("gives its bytes as they are, and does not write over a file", async () => {
    const file = join(bank().dir, `${account}.bin`);
    const args = ["dlq", "show", coordinates("BAD_WIRE_FORMAT"), "--raw", file];
    expect((await bank().foldlog(args)).code).toBe(0);
    expect(readFileSync(file).equals(garbage)).toBe(true);
    const again = await bank().foldlog(args);
    expect(again.stderr).toMatch(/is there already/);
    expect(again.code).toBe(4);
  });

  test.each(["BAD_WIRE_FORMAT", "UNKNOWN_SCHEMA"])(
    "with %s is not replayed, since it would fail again",
    async (code) => {
      const args = ["dlq", "replay", coordinates(code), "--yes"];
      const { code: exit, stdout } = await bank().foldlog(args);
      expect(stdout).toMatch(new RegExp(`refused: it would fail again: ${code}`));
      expect(exit).toBe(1);
    },
  );

  test("put on the wrong partition is replayed to the right one, once and no more", async () => {
    const letter = coordinates("WRONG_PARTITION");
    const dry = await bank().foldlog(["dlq", "replay", letter, "--dry-run"]);
    expect(dry.stdout).toMatch(new RegExp(`${letter} .* to bank\\.account\\.commands/\\d+`));
    expect((await bank().foldlog(["show", "account", account])).code).toBe(3);

    const unasked = await bank().foldlog(["dlq", "replay", letter]);
    expect(unasked.stderr).toMatch(/--yes/);
    expect(unasked.code).toBe(2);

    const replays: Record<string, unknown>[] = [];
    for (let time = 0; time < 2; time++) {
      const done = await bank().foldlog(["dlq", "replay", letter, "--yes", "--json"]);
      expect(done.code).toBe(0);
      replays.push(...jsonLines(done));
    }
    expect(replays).toMatchObject([
      { outcome: "accepted", version: 1, duplicate: false, commandId: `${account}-1` },
      { outcome: "accepted", version: 1, duplicate: true },
    ]);
    expect(
      jsonLines(await bank().foldlog(["show", "account", account, "--json"]))[0],
    ).toMatchObject({
      version: 1,
    });
  });

  test("whose command was answered is not run again under a new id", async () => {
    const args = ["dlq", "replay", coordinates("WRONG_PARTITION"), "--new-id", "--yes"];
    const { code, stdout } = await bank().foldlog(args);
    expect(stdout).toMatch(/refused: its command .* was answered accepted/);
    expect(code).toBe(1);
  });

  test("is replayed with all others of its code", async () => {
    const args = ["dlq", "replay", "--all", "--code", "WRONG_PARTITION", "--yes", "--json"];
    const { code, stdout } = await bank().foldlog(args);
    const replayed = jsonLines({ stdout }).filter(({ action }) => action === "sent");
    expect(replayed.map((it) => it["at"])).toContain(coordinates("WRONG_PARTITION"));
    expect(code).toBe(0);
  });

  test("that is not there is not found", async () => {
    for (const verb of ["show", "replay"]) {
      const { code, stderr } = await bank().foldlog(["dlq", verb, "0/999999"]);
      expect(stderr).toMatch(/There is no dead letter 0\/999999/);
      expect(code).toBe(3);
    }
  });
}

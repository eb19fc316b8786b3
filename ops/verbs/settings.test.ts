import { describe, expect, test } from "vitest";
import { envFileText } from "../stack/env-file.ts";
import { merged, mixedOf, parseEnvFile } from "./settings.ts";

const local = {
  KAFKA_BROKERS: "127.0.0.1:9092",
  SCHEMA_REGISTRY_URL: "http://127.0.0.1:8081/apis/ccompat/v7",
  DATABASE_READ_URL: "postgres://reader:secret@127.0.0.1/foldlog",
  FOLDLOG_REPLICATION_FACTOR: "1",
  SCHEMA_IDS_FILE: "/data/schema-ids.json",
};

describe("settings", () => {
  test("that are not set come from the local stack", () => {
    expect(merged({}, local)).toEqual(local);
  });

  test("that are set win, and an empty one counts as not set", () => {
    const env = merged({ KAFKA_BROKERS: "other:9092", SCHEMA_REGISTRY_URL: "" }, local);
    expect(env["KAFKA_BROKERS"]).toBe("other:9092");
    expect(env["SCHEMA_REGISTRY_URL"]).toBe(local.SCHEMA_REGISTRY_URL);
  });

  test("that are set as a file win too", () => {
    const env = merged({ DATABASE_READ_URL_FILE: "/run/secrets/url" }, local);
    expect(env["DATABASE_READ_URL"]).toBeUndefined();
  });

  test("that describe one broker are not taken for another's", () => {
    const env = merged({ KAFKA_BROKERS: "other:9092" }, local);
    expect(env["FOLDLOG_REPLICATION_FACTOR"]).toBeUndefined();
    expect(env["SCHEMA_IDS_FILE"]).toBe(local.SCHEMA_IDS_FILE);
  });

  test("that describe the local broker are taken where it is named", () => {
    const env = merged({ KAFKA_BROKERS: local.KAFKA_BROKERS }, local);
    expect(env["FOLDLOG_REPLICATION_FACTOR"]).toBe("1");
  });
});

describe("a mixture of two places", () => {
  const needed = ["KAFKA_BROKERS", "SCHEMA_REGISTRY_URL", "DATABASE_READ_URL"] as const;

  test("is told where it leads to two deployments", () => {
    expect(mixedOf({ KAFKA_BROKERS: "other:9092" }, local, needed)).toBe(
      "SCHEMA_REGISTRY_URL and DATABASE_READ_URL are not set, and so taken",
    );
  });

  test("is none where all come from one, or both say the same", () => {
    expect(mixedOf({}, local, needed)).toBeNull();
    expect(mixedOf({ KAFKA_BROKERS: local.KAFKA_BROKERS }, local, needed)).toBeNull();
    expect(mixedOf({ KAFKA_BROKERS: "other:9092" }, {}, needed)).toBeNull();
  });
});

describe("the file of settings", () => {
  test("reads back whatever was written to it", () => {
    const written = { A: "plain", B: "it's 'quoted'", C: "two\nlines", D: "", E: '$HOME `x` \\ "' };
    expect(parseEnvFile(envFileText(written))).toEqual(written);
  });

  test("may have comments and blank lines", () => {
    expect(parseEnvFile("# mine\n\nexport A='1'\nB='2'\n")).toEqual({ A: "1", B: "2" });
  });

  test("with a line of another form is an error that names the line, and not its secret", () => {
    const parse = () => parseEnvFile("export A='1'\nexport B=secret\n");
    expect(parse).toThrow("line 2");
    expect(parse).not.toThrow("secret");
  });
});

import { describe, expect, test } from "vitest";
import { ConfigError } from "../../engine/config.ts";
import { FatalError, PoisonError, TransientError } from "../../engine/errors.ts";
import { CliError, exitCode, explained } from "./outcome.ts";

const mistakes: readonly (readonly [string, Error, number])[] = [
  ["wrong usage", new CliError(exitCode.usage, "no", { next: "do this" }), 2],
  ["settings that are missing", new ConfigError(["KAFKA_BROKERS is not set"]), 2],
  ["a broker that is away", new TransientError("No broker answers"), 5],
  ["topics that are other than declared", new FatalError("TOPIC_DRIFT", "differ"), 4],
  ["a login that is refused", new FatalError("UNAUTHORIZED", "wrong password"), 1],
  ["bytes that cannot be read", new PoisonError("TRUNCATED", "they end too early"), 1],
  [
    "what the client of the broker throws",
    Object.assign(new Error("x"), { name: "KafkaJSError" }),
    5,
  ],
];

describe("an error", () => {
  test.each(mistakes)("for %s has no stack trace, and its exit code", (_, error, code) => {
    const found = explained(error);
    expect(found.text).not.toMatch(/^\s+at /m);
    expect(found.code).toBe(code);
  });

  test("says what to do next where it is known", () => {
    expect(explained(new CliError(exitCode.usage, "It is wrong.", { next: "Do this." })).text).toBe(
      "It is wrong.\nDo this.",
    );
  });

  test("that nobody foresaw keeps its stack trace and asks to be reported", () => {
    const { text, code } = explained(new TypeError("x is not a function"));
    expect(text).toMatch(/fault to report[\s\S]*outcome\.test\.ts/);
    expect(code).toBe(1);
  });
});

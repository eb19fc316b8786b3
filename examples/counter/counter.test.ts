import assert from "node:assert/strict";
import { test } from "node:test";
import { exploreCrashes, given, runInMemory, tablesAfter } from "foldlog/testing";
import { generateSchemas, staleFiles } from "foldlog";
import { counter } from "./counter.ts";
import { counts } from "./counts.ts";
import { schemas } from "./schemas/generate.ts";
import type { CounterCommand, CounterEvent } from "./schemas/generated.ts";
import { workers } from "./workers.ts";

const ids = { commandId: "c-1", counterId: "lamps", issuedAt: null, expectedVersion: null };
const increment = (by: number, commandId = "c-1"): CounterCommand => ({
  type: "Increment",
  data: { ...ids, commandId, by },
});
const clear: CounterCommand = { type: "ClearCounter", data: ids };
const incremented = (by: number): CounterEvent => ({ type: "Incremented", data: { by } });
const cleared: CounterEvent = { type: "CounterCleared", data: {} };

await test("a counter counts what is positive", () => {
  given(counter).when(increment(3)).accepts(incremented(3));
  given(counter, incremented(3)).when(increment(0)).rejects("NotPositive");
  given(counter, incremented(3)).when(increment(Number.MAX_SAFE_INTEGER)).rejects("TooMuch");
});

await test("a counter is cleared once", () => {
  given(counter, incremented(3)).when(clear).accepts(cleared);
  given(counter, incremented(3), cleared).when(clear).rejects("AlreadyZero");
});

await test("the view holds what each counter stands at", async () => {
  const { counts: rows } = await tablesAfter(counts, [
    incremented(3),
    incremented(4),
    { ...incremented(9), aggregateId: "doors" },
  ]);
  const shown = rows.map(({ key, value, version }) => ({ key, value, version }));
  assert.deepEqual(shown, [
    { key: ["a-1"], value: 7, version: 2 },
    { key: ["doors"], value: 9, version: 1 },
  ]);
});

await test("the application answers, keeps its view, and knows all of it after a restart", async () => {
  await using app = await runInMemory({ workers });
  const first = await app.send(increment(3));
  assert.equal(first.outcome, "accepted");
  await app.restart();
  assert.equal((await app.send(increment(3))).duplicate, true);
  const second = await app.send(increment(4, "c-2"));
  assert.equal(second.version, 2);
  const [row] = await app.rows("counts");
  assert.equal(row?.["value"], 7);
});

await test("it survives a crash anywhere", async () => {
  await exploreCrashes({ workers }, [increment(3), increment(0, "c-2"), increment(4, "c-3")]);
});

await test("the generated types are fresh; if not: node schemas/generate.ts", async () => {
  const { problems, generated } = await generateSchemas(schemas);
  assert.deepEqual(problems, []);
  assert.deepEqual(staleFiles(generated), []);
});

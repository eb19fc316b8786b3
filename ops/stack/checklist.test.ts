import { expect, test } from "vitest";
import { checklistOn } from "./checklist.ts";

function recorded(isTTY: boolean) {
  let text = "";
  const output = { isTTY, columns: 80, write: (more: string) => (text += more) };
  return { output, text: () => text };
}

test("away from a terminal a step is one line, without colours or moves", async () => {
  const { output, text } = recorded(false);
  const checklist = checklistOn(output, {});
  await checklist.step("Java", (say) => {
    say("25.0.3");
    return Promise.resolve();
  });
  expect(text()).toMatch(/^✓ Java {2}25\.0\.3 {2}\d+\.\d s\n$/);
});

test("a step that fails is marked and throws on; one that it cut short is not blamed", async () => {
  const { output, text } = recorded(false);
  const checklist = checklistOn(output, {});
  const cause = new Error("no");
  const failing = checklist.step("Kafka", () => Promise.reject(cause));
  const cutShort = checklist.step("Registry", () => Promise.reject(cause));
  await expect(failing).rejects.toBe(cause);
  await expect(cutShort).rejects.toBe(cause);
  expect(text()).toMatch(/^✗ Kafka .*\n– Registry .*\n$/);
});

test("NO_COLOR takes the colours away, on a terminal too", async () => {
  const lines = async (env: NodeJS.ProcessEnv) => {
    const { output, text } = recorded(true);
    await checklistOn(output, env).step("Java", () => Promise.resolve());
    return text();
  };
  expect(await lines({})).toContain("\x1b[32m✓");
  expect(await lines({ NO_COLOR: "1" })).not.toContain("\x1b[32m");
});

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { readPage } from "../docs/markdown.ts";
import type { OwnBank } from "./own-bank.ts";

const { fences } = readPage({
  file: "docs/operations.md",
  text: readFileSync("docs/operations.md", "utf8"),
});
const commands = fences
  .filter(({ language }) => language === "sh")
  .flatMap(({ text }) => text.split("\n"));

/** The commands of `docs/operations.md`, in their order: each is one of ours, and none fails. */
export function operationsTests(bank: () => OwnBank): void {
  test("are there", () => {
    expect(commands.length).toBeGreaterThan(10);
  });

  test.each(commands)("%s", async (line) => {
    const words = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(
      ([, quoted, plain]) => quoted ?? plain,
    );
    const [npm, run, silent, foldlog, dashes, ...args] = words;
    expect([npm, run, silent, foldlog, dashes]).toEqual(["npm", "run", "-s", "foldlog", "--"]);
    const { code, stderr, stdout } = await bank().foldlog(args.filter((it) => it !== undefined));
    expect({ code, stderr, stdout: code === 0 ? "" : stdout }).toMatchObject({
      code: 0,
      stdout: "",
    });
  });
}

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { readPage } from "../docs/markdown.ts";
import { until } from "../until.ts";
import type { Finished, OwnBank } from "./own-bank.ts";

const { fences } = readPage({
  file: "docs/operations.md",
  text: readFileSync("docs/operations.md", "utf8"),
});
const commands = fences
  .filter(({ language }) => language === "sh")
  .flatMap(({ text }) => text.split("\n"));

/** These give up on whoever has not answered within seconds. */
const impatient = ["doctor", "status"];

/** On a busy machine an answer may come after that: then somebody seems to be away, and who asks again is told. */
export function told(
  bank: OwnBank,
  args: readonly string[],
  options?: Parameters<OwnBank["foldlog"]>[1],
): Promise<Finished> {
  return until(`${args.join(" ")} to be told all`, async () => {
    const finished = await bank.foldlog(args, options);
    return finished.code !== 5 && finished;
  });
}

/** The commands of `docs/operations.md`, in their order: each is one of ours, and none fails. */
export function operationsTests(bank: () => OwnBank): void {
  test("are there", () => {
    expect(commands.length).toBeGreaterThan(10);
  });

  test.each(commands)("%s", async (line) => {
    const words = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(
      ([, quoted, plain]) => quoted ?? plain,
    );
    const [npm, run, silent, foldlog, dashes, ...rest] = words;
    expect([npm, run, silent, foldlog, dashes]).toEqual(["npm", "run", "-s", "foldlog", "--"]);
    const args = rest.filter((it) => it !== undefined);
    const { code, stderr, stdout } = impatient.includes(args[0] ?? "")
      ? await told(bank(), args)
      : await bank().foldlog(args);
    expect({ code, stderr, stdout: code === 0 ? "" : stdout }).toMatchObject({
      code: 0,
      stdout: "",
    });
  });
}

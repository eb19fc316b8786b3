import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

/** Each name that a barrel passes on, as it is called where it is declared, with the file that declares it. */
function exportsOf(barrel: string): readonly { readonly name: string; readonly file: string }[] {
  const folder = join(import.meta.dirname, barrel, "..");
  const text = readFileSync(join(import.meta.dirname, barrel), "utf8");
  const statements = text.matchAll(/^export (?:type )?\{([^}]+)\} from "([^"]+)";$/gm);
  return [...statements].flatMap(([, names = "", file = ""]) =>
    [...names.matchAll(/(?:type )?(\w+)(?: as \w+)?(?:,|\s*$)/g)].map(([, name = ""]) => ({
      name,
      file: join(folder, file),
    })),
  );
}

test.each(["index.ts", "testing/index.ts"])("%s says of each name what it is", (barrel) => {
  const all = exportsOf(barrel);
  expect(all.length).toBeGreaterThan(15);
  const silent = all.filter(({ name, file }) => {
    const declared = `export (?:async )?(?:function|class|interface|type|const) ${name}\\b`;
    return !new RegExp(`\\*/\\n${declared}`).test(readFileSync(file, "utf8"));
  });
  // `Outcome` is generated from an enum without a doc: `Reply` says what each one means.
  expect(silent.map(({ name }) => name).filter((name) => name !== "Outcome")).toEqual([]);
});

test("the barrels name what they pass on, each name once", () => {
  for (const barrel of ["index.ts", "testing/index.ts"]) {
    const text = readFileSync(join(import.meta.dirname, barrel), "utf8");
    expect(text).not.toMatch(/export \*|export default/);
    const names = exportsOf(barrel).map(({ name, file }) => `${file} ${name}`);
    expect(new Set(names).size).toBe(names.length);
  }
});

import { expect, test } from "vitest";
import { parseSchema, type RecordSchema } from "../avro/avro-schema.ts";
import { clientTypescriptOf } from "./client-typescript.ts";
import type { Kind, Source } from "./sources.ts";

const size = {
  type: "record",
  name: "Size",
  namespace: "shop.box",
  fields: [
    { name: "width", type: "long" },
    { name: "unit", type: "string", default: "mm" },
  ],
};

function source(kind: Kind, name: string, fields: readonly object[], version = 1): Source {
  const json = { type: "record", name, namespace: "shop.box", doc: `${name}.`, kind, fields };
  const schema = parseSchema(json) as RecordSchema;
  return { file: `box/${name}.v${version}.avsc`, folder: "box", version, kind, json, schema };
}

const packed = source("command", "PackBox", [
  { name: "commandId", type: "string" },
  { name: "boxId", type: "string" },
  { name: "label", type: ["null", "string"], default: null },
  { name: "note", type: ["null", "string"] },
  { name: "seal", type: "bytes" },
  { name: "size", type: size },
]);
const wasPacked = source("event", "BoxPacked", [
  { name: "label", type: ["null", "string"], default: null },
  { name: "seal", type: "bytes" },
  { name: "size", type: size },
]);
const state = source("state", "BoxState", [{ name: "isFull", type: "boolean" }]);

function generated(sources: readonly Source[], retired: readonly string[] = []): string {
  const options = { command: "gen", importsFrom: "foldlog/client", retired: new Set(retired) };
  return clientTypescriptOf(sources, options).replaceAll(/\s+/g, " ");
}

test("a command is a method whose fields with a default, and whose id, may be left out", () => {
  const text = generated([packed, wasPacked, state]);
  expect(text).toContain(
    "export interface BoxClient<R extends string = string> extends AggregateReads<BoxState, BoxEvent, R>",
  );
  expect(text).toContain(
    "/** PackBox. */ packBox(fields: PackBoxFields, options?: SendOptions): Promise<Answer<R>>;",
  );
  expect(text).toContain('aggregateClient(connection, "box", { packBox: "PackBox" })');
  expect(text).toContain(
    "readonly commandId?: string; readonly boxId: string; readonly label?: string | null; readonly note: string | null;",
  );
});

test("a record within a command may leave out its defaults, the same one in an event has them all", () => {
  const text = generated([packed, wasPacked, state]);
  expect(text).toContain(
    "interface SizeFields { readonly width: number; readonly unit?: string; }",
  );
  expect(text).toContain("interface Size { readonly width: number; readonly unit: string; }");
  expect(text).toContain(
    "interface BoxPacked { readonly label: string | null; readonly seal: string; readonly size: Size; }",
  );
});

test("bytes are text, as JSON has them, and nothing of Node is named", () => {
  const text = generated([packed, wasPacked, state]);
  expect(text).toContain("readonly seal: string; readonly size: SizeFields;");
  expect(text).not.toMatch(/Buffer|node:/);
});

test("of several versions the newest counts, and the retired are left out", () => {
  const newer = source("event", "BoxPacked", [{ name: "weight", type: "long" }], 2);
  const text = generated([packed, wasPacked, newer, state]);
  expect(text).toContain("interface BoxPacked { readonly weight: number; }");
  const without = generated([packed, wasPacked, state], ["shop.box.BoxPacked"]);
  expect(without).toContain("export type BoxEvent = never;");
});

test("a command that would hide a method of the client is refused by name", () => {
  expect(() => generated([source("command", "Events", [])])).toThrow(
    "the command Events of the box would hide the client's own method events",
  );
});

test("a folder without commands has no client", () => {
  expect(generated([wasPacked])).not.toContain("Box");
});

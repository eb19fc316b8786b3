import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { FatalError, messageOf } from "../errors.ts";

/**
 * Which schema each registry id means, by its fingerprint. A deployment keeps this file beside its data: ids
 * stand in every record for ever, and a registry that was wiped and filled again gives them other meanings.
 */
export type SchemaIds = ReadonlyMap<number, string>;

/**
 * Reads the file, a JSON object of id → fingerprint; a file that is not there is empty.
 * @throws FatalError `SCHEMA_DRIFT` where it is something else
 */
export function readSchemaIds(file: string): SchemaIds {
  if (!existsSync(file)) return new Map();
  try {
    const json: unknown = JSON.parse(readFileSync(file, "utf8"));
    if (typeof json !== "object" || json === null || Array.isArray(json)) {
      throw new TypeError("not a JSON object");
    }
    return new Map(Object.entries(json).map(([id, fingerprint]) => entryOf(id, fingerprint)));
  } catch (error) {
    const why = messageOf(error);
    throw new FatalError(
      "SCHEMA_DRIFT",
      `${file} should hold schema ids and fingerprints: ${why}; restore it, or delete it and register again`,
      { cause: error },
    );
  }
}

/** Replaces the file in one step: a reader finds the old one or the new one. */
export function writeSchemaIds(file: string, ids: SchemaIds): void {
  const sorted = [...ids].sort(([a], [b]) => a - b);
  const temporary = `${file}.new`;
  writeFileSync(temporary, `${JSON.stringify(Object.fromEntries(sorted), null, 2)}\n`);
  renameSync(temporary, file);
}

function entryOf(id: string, fingerprint: unknown): readonly [number, string] {
  if (!/^[1-9][0-9]{0,9}$/.test(id)) throw new TypeError(`${JSON.stringify(id)} is not an id`);
  if (typeof fingerprint !== "string" || !/^[0-9a-f]{64}$/.test(fingerprint)) {
    throw new TypeError(`id ${id} has no fingerprint`);
  }
  return [Number(id), fingerprint];
}

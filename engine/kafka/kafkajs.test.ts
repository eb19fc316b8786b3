import { appendFileSync, cpSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { verifyClient } from "./kafkajs.ts";

const installed = dirname(createRequire(import.meta.url).resolve("kafkajs/package.json"));
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "kafkajs-"));
  cpSync(installed, folder, { recursive: true });
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const unsupported = expect.objectContaining({
  name: "FatalError",
  code: "UNSUPPORTED_CLIENT",
}) as Error;

test("the kafkajs that is installed is the one that was hardened, and so is a copy of it", () => {
  expect(() => {
    verifyClient();
    verifyClient(folder);
  }).not.toThrow();
});

test.each([
  [
    "a line more in a module that is relied on",
    () => {
      appendFileSync(at("network/connection.js"), "\n");
    },
  ],
  [
    "a change in a request",
    () => {
      writeFileSync(at("protocol/requests/endTxn/v1/request.js"), "");
    },
  ],
  [
    "a module more",
    () => {
      writeFileSync(at("network/more.js"), "");
    },
  ],
  [
    "a module less",
    () => {
      rmSync(at("retry/defaults.test.js"));
    },
  ],
  [
    "a module of another name",
    () => {
      renameSync(at("retry/index.js"), at("retry/main.js"));
    },
  ],
])("a kafkajs with %s is refused", (_, change) => {
  change();
  expect(() => {
    verifyClient(folder);
  }).toThrow(unsupported);
});

function at(file: string): string {
  return join(folder, "src", file);
}

test("the refusal names the version found, the one that is wanted, and what to do", () => {
  writeFileSync(join(folder, "package.json"), `{ "version": "2.3.0" }`);
  appendFileSync(at("index.js"), "\n");
  expect(() => {
    verifyClient(folder);
  }).toThrow(/kafkajs 2\.3\.0 is installed.*Pin "kafkajs": "2\.2\.4" and install again\./);
});

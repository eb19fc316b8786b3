import { describe, inject } from "vitest";

/**
 * The suites of the real broker, registry and Postgres once more, on the official images: Kafka as it is
 * deployed, and Postgres 15 instead of 18. Where no Docker engine answers, all of them count as skipped.
 */
describe.skipIf(inject("whyNoContainers") !== null)("on containers", () => {
  describe("a broker", async () => {
    await import("../broker/log-contract.test.ts");
  });
  describe("the registry", async () => {
    await import("../registry/registry.test.ts");
  });
  describe("what Postgres is prepared to", async () => {
    await import("../postgres/prepare.test.ts");
  });
  describe("roles", async () => {
    await import("../postgres/roles.test.ts");
  });
  describe("columns", async () => {
    await import("../postgres/columns.test.ts");
  });
  describe("row operations", async () => {
    await import("../postgres/row-operations.test.ts");
  });
  describe("views", async () => {
    await import("../postgres/views.test.ts");
  });
  describe("a projector", async () => {
    await import("../postgres/projector.test.ts");
  });
  describe("bad input, end to end", async () => {
    await import("../pipeline/poison.test.ts");
  });
  describe("an audited bank, end to end", async () => {
    await import("../audit/audit.test.ts");
  });
});

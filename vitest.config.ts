import { defineConfig } from "vitest/config";

/** What goes through hundreds of histories by seed: for `npm test`, and not before each commit. */
const manySeeds = ["ops/audit/{damages,partition-audit}.test.ts"];

export default defineConfig({
  test: {
    maxWorkers: "100%", // Of two cores, the default leaves one idle.
    projects: [
      {
        test: {
          name: "unit",
          include: ["{engine,processors,schemas,topics,ops}/**/*.test.ts", "test/*.test.ts"],
          exclude: manySeeds,
          testTimeout: 30_000, // For what hangs: a busy machine is no failure.
          hookTimeout: 30_000,
          isolate: false, // A third of the time: modules are loaded once a worker, and hold no state of tests.
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "integration",
          include: ["test/*/**/*.test.ts"],
          exclude: ["test/containers/**", "test/simulation/**", "test/mutants/**"],
          globalSetup: "test/stack.ts",
          testTimeout: 60_000,
          hookTimeout: 60_000,
          // One broker, one fault proxy, two cores: one file after the other.
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: "simulation",
          include: ["test/{simulation,mutants}/**/*.test.ts", ...manySeeds],
          testTimeout: 600_000,
          // Each file takes all cores by itself.
          fileParallelism: false,
          sequence: { groupOrder: 3 },
        },
      },
      {
        test: {
          name: "containers",
          include: ["test/containers/**/*.test.ts"],
          globalSetup: "test/stack.ts",
          testTimeout: 60_000,
          hookTimeout: 60_000,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});

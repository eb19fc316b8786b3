import { runBatch } from "./batch.ts";

/** A process that runs the batches that it is told to, until whoever started it lets go of it. */

process.on("message", ({ from, seeds }: { readonly from: number; readonly seeds: number }) => {
  void runBatch(from, seeds).then((batch) => process.send?.(batch));
});
process.on("disconnect", () => process.exit(0));

import { exitCode } from "./outcome.ts";

/** npm hands on the Ctrl-C that the terminal has sent here already: both are one. */
const sameKeyMs = 500;

/** Where a Ctrl-C is to end the work in good order. */
export interface Interrupt {
  readonly signal: AbortSignal;
  /** Leaves Ctrl-C to end the process at once again. */
  release(): void;
}

/** Aborts at the first Ctrl-C or SIGTERM, and calls `onFirst`; the second one ends the process. */
export function onInterrupt(onFirst: () => void): Interrupt {
  const controller = new AbortController();
  let firstAt: number | null = null;
  const handle = () => {
    if (firstAt === null) {
      firstAt = performance.now();
      controller.abort();
      onFirst();
    } else if (performance.now() - firstAt > sameKeyMs) process.exit(exitCode.interrupted);
  };
  const signals = ["SIGINT", "SIGTERM"] as const;
  for (const name of signals) process.on(name, handle);
  return {
    signal: controller.signal,
    release() {
      for (const name of signals) process.off(name, handle);
    },
  };
}

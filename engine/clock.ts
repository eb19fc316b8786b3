/** Time and chance, passed in, so that a simulation can own them. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Resolves after `durationMs`, or as soon as one of `signals` aborts: it never rejects. */
  sleep(durationMs: number, ...signals: readonly AbortSignal[]): Promise<void>;
  /** A number in [0, 1). */
  random(): number;
}

/** The time of this machine, and chance that nobody can foresee. */
export const systemClock: Clock = {
  now: () => Date.now(),
  // Listeners are taken off by hand: `AbortSignal.any` over a signal that lives long keeps every one made.
  sleep: (durationMs, ...signals) =>
    new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        for (const signal of signals) signal.removeEventListener("abort", wake);
        resolve();
      };
      const timer = setTimeout(wake, durationMs);
      for (const signal of signals) signal.addEventListener("abort", wake);
      if (signals.some(({ aborted }) => aborted)) wake();
    }),
  random: () => Math.random(),
};

/** As a call, since it changes behind the compiler's back. */
export function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}

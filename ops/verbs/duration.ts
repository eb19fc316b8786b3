import { InvalidArgumentError } from "commander";

/** Options as people type them, for commander's parsers. */

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const maxMs = 365 * 86_400_000;

/** Milliseconds of `500ms`, `30s`, `5m`, `1h30m` or `2d`; `null` of anything else, above a year too. */
export function durationMs(text: string): number | null {
  if (!/^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/.test(text)) return null;
  let sum = 0;
  for (const [, digits = "", unit = ""] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    sum += Number(digits) * (unitMs[unit] ?? 0);
  }
  return sum <= maxMs ? Math.round(sum) : null;
}

/** `820 ms`, `4.2 s`, `3 min 5 s`, `2 h 0 min`. */
export function shownDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`;
}

export function durationOption(text: string): number {
  const ms = durationMs(text);
  if (ms === null || ms === 0) {
    throw new InvalidArgumentError("It is a time, for example 500ms, 30s, 5m or 1h30m.");
  }
  return ms;
}

/** An option that is a whole number of at least `least`. */
export function wholeOption(least: number, most = 1_000_000_000): (text: string) => number {
  return (text) => {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It is a whole number from ${least} to ${most}.`);
  };
}

/** An option that is a number above 0, not of necessity whole. */
export function rateOption(text: string): number {
  const value = /^\d{1,9}(?:\.\d+)?$/.test(text) ? Number(text) : 0;
  if (value > 0) return value;
  throw new InvalidArgumentError("It is a number above 0, for example 20 or 0.5.");
}

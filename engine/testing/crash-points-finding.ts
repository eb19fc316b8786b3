import { differences, told } from "./differences.ts";

/** What an exploration found, in words. */

/** Something is not as it must be. `details` are lines below the first. */
export class Finding extends Error {
  readonly details: readonly string[];
  constructor(headline: string, details: readonly string[] = [], options?: ErrorOptions) {
    super(headline, options);
    this.details = details;
  }
}

/** @throws Finding with the first differences and `hints`, where there are any */
export function mustEqual(
  headline: string,
  expected: unknown,
  found: unknown,
  hints: readonly string[] = [],
): void {
  const all = differences(expected, found);
  if (all.length > 0) throw new Finding(headline, [...told(all), ...hints]);
}

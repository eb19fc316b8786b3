import { parseArgs, type ParseArgsOptionsConfig } from "node:util";
import { SetupError } from "./setup-error.ts";

/**
 * The flags of a command line; `help` is the command that lists them.
 * @throws SetupError with exit code 2 for an unknown flag or an argument that nobody asked for
 */
export function readFlags<const T extends ParseArgsOptionsConfig>(
  args: readonly string[],
  options: T,
  help: string,
) {
  try {
    return parseArgs({ args: [...args], options }).values;
  } catch (error) {
    throw wrongUsage(error instanceof Error ? error.message : String(error), help);
  }
}

export function wrongUsage(reason: string, help: string): SetupError {
  return new SetupError(`Wrong usage: ${reason}`, {
    next: `All options: ${help}`,
    exitCode: 2,
  });
}

export const flag = { type: "boolean", default: false } as const;
export const helpFlag = { type: "boolean", short: "h", default: false } as const;

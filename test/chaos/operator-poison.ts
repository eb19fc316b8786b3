import type { Fault } from "./plan.ts";

/** The commands that another team sends by a schema that breaks ours: names by which they are known again. */
export function breakingIds(fault: Fault): readonly string[] {
  if (fault.does !== "register-breaking-schema") return [];
  const count = Number(fault.args["commands"] ?? 20);
  return Array.from({ length: count }, (_, i) => `breaking-${fault.at}-${i}`);
}

/** What they are answered with: the registry knows the schema, and our catalog does not. */
export const breakingCode = "FOREIGN_RECORD_TYPE";

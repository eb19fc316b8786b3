import { kafkaOperations } from "./operator-kafka.ts";
import { postgresOperations } from "./operator-postgres.ts";
import { storeOperations } from "./operator-stores.ts";
import type { Operate, OperatedSystem, Operation } from "./operator-system.ts";

/** Faults that operators, other programs and time do. */

const operations: Readonly<Record<Operation["does"], Operate>> = {
  ...storeOperations,
  ...kafkaOperations,
  ...postgresOperations,
};

/** Does what an operator does; resolves to what ends it. */
export function operate(system: OperatedSystem, fault: Operation): Promise<() => Promise<void>> {
  return operations[fault.does](system, fault);
}

/** What clients saw while a plan ran: the format, and the checks over it, belong to the audit. */
export {
  type CommandEntry,
  type CommandResult,
  type HistoryEntry,
  type PoisonEntry,
  poisonHeader,
  type QueryEntry,
} from "../../ops/audit/client-history.ts";

import type { Upcasts } from "../engine/avro/upcast.ts";

/**
 * From a record that is no longer written to the one that took its place, by the full name of the old one.
 *
 * Only where Avro's own rules cannot bridge the change: a rename, a split of a field, another meaning. The
 * new form is then a record with a new name; the old one stays in the catalog (it is still read) and leaves
 * the generated unions, so that no decider or projection meets it. An upcast is pure and is applied until
 * the record is one of today's: one step an entry. For example:
 *
 *     "bank.account.MoneyMoved": (old: MoneyMoved) => ({
 *       type: "FundsDeposited",
 *       data: { amountCents: old.cents, reference: null },
 *     }),
 */
export const upcasts: Upcasts = {};

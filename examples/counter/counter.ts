import { accept, type Decider, reject } from "foldlog";
import type { CounterCommand, CounterEvent, CounterState } from "./schemas/generated.ts";

export type CounterRejection = "NotPositive" | "TooMuch" | "AlreadyZero";

/** A counter. Invariant: `value` is never negative, and a safe integer. */
export const counter: Decider<CounterState, CounterCommand, CounterEvent, CounterRejection> = {
  initialState: { value: 0 },
  foldVersion: 1,

  decide({ type, data }, { value }) {
    switch (type) {
      case "Increment":
        if (data.by <= 0) return reject("NotPositive");
        if (data.by >= Number.MAX_SAFE_INTEGER - value) return reject("TooMuch");
        return accept({ type: "Incremented", data: { by: data.by } });
      case "ClearCounter":
        return value === 0 ? reject("AlreadyZero") : accept({ type: "CounterCleared", data: {} });
    }
  },

  evolve(state, { type, data }) {
    switch (type) {
      case "Incremented":
        return { value: state.value + data.by };
      case "CounterCleared":
        return { value: 0 };
    }
  },
};

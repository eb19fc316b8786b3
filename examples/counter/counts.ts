import type { Projection } from "foldlog";
import type { CounterEvent } from "./schemas/generated.ts";
import { topics } from "./topics.ts";

/** What each counter stands at now: one row a counter. Readers see the Postgres view `counts`. */
export const counts: Projection<CounterEvent, "counts"> = {
  name: "counts",
  version: 1,
  topics: [topics.counter.events],
  tables: {
    counts: `
      counter_id text        primary key,
      value      bigint      not null check (value >= 0),
      version    bigint      not null,
      updated_at timestamptz not null`,
  },

  apply({ type, data, aggregateId, version, time }, { counts }) {
    const seen = { version, updated_at: time };
    switch (type) {
      case "Incremented":
        if (version === 1) counts.insert(aggregateId, { value: data.by, ...seen });
        else counts.add(aggregateId, { value: data.by }, seen);
        break;
      case "CounterCleared":
        counts.patch(aggregateId, { value: 0, ...seen });
        break;
    }
  },
};

import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";

/** Every metric of a worker, in one table. Names and units as Prometheus wants them; no ids in labels. */

interface Declared {
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly labels: readonly string[];
  /** Upper bounds, for a histogram. */
  readonly buckets?: readonly number[];
}

const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export const metricTable = {
  foldlog_build_info: { type: "gauge", help: "1, with the version that runs", labels: ["version"] },
  foldlog_partitions: {
    type: "gauge",
    help: "Partitions assigned to this worker, by what they are doing: opening, ready, retrying or stopped",
    labels: ["worker", "state"],
  },
  foldlog_commands_total: {
    type: "counter",
    help: "Commands answered, by type and outcome: accepted, rejected, conflict, failed or duplicate",
    labels: ["worker", "type", "outcome"],
  },
  foldlog_command_duration_seconds: {
    type: "histogram",
    help: "From the append of the oldest command of a batch to the commit of its answer",
    labels: ["worker"],
    buckets: seconds,
  },
  foldlog_transaction_duration_seconds: {
    type: "histogram",
    help: "From the first command of a batch being judged to its commit",
    labels: ["worker"],
    buckets: seconds,
  },
  foldlog_transaction_commands: {
    type: "histogram",
    help: "Commands in one transaction",
    labels: ["worker"],
    buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500],
  },
  foldlog_dead_letters_total: {
    type: "counter",
    help: "Records that can never be processed, by error code",
    labels: ["worker", "code"],
  },
  foldlog_writer_reopened_total: {
    type: "counter",
    help: "Times that a partition started again: fenced, indefinite (law P1) or transient",
    labels: ["worker", "reason"],
  },
  foldlog_restore_duration_seconds: {
    type: "histogram",
    help: "How long a partition took to restore, from the local store or from the log",
    labels: ["worker", "from"],
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800],
  },
  foldlog_restore_stuck_seconds: {
    type: "gauge",
    help: "How long a restore has waited for a foreign open transaction; no series where none waits",
    labels: ["worker", "topic", "partition"],
  },
  foldlog_state_bytes_max: {
    type: "gauge",
    help: "The largest state of an aggregate that was written, against a limit of about 1 MiB",
    labels: ["worker"],
  },
  foldlog_command_lag_records: {
    type: "gauge",
    help: "Commands appended and not consumed yet, control records counted",
    labels: ["worker", "partition"],
  },
  foldlog_projection_events_total: {
    type: "counter",
    help: "Events applied",
    labels: ["projection"],
  },
  foldlog_projection_rows_total: {
    type: "counter",
    help: "Rows written, after the events of a batch were folded to one change a row",
    labels: ["projection"],
  },
  foldlog_projection_position: {
    type: "gauge",
    help: "The events offset that the view has everything before",
    labels: ["projection", "topic", "partition"],
  },
  foldlog_projection_lag_events: {
    type: "gauge",
    help: "Events that the view does not have yet, control records counted",
    labels: ["projection", "topic", "partition"],
  },
  foldlog_projection_lag_seconds: {
    type: "gauge",
    help: "The age of the last event in a view that lags; 0 where it has everything",
    labels: ["projection", "topic", "partition"],
  },
  foldlog_projection_stopped: {
    type: "gauge",
    help: "1 where a partition stands still at an event that the view cannot take",
    labels: ["projection", "topic", "partition"],
  },
  foldlog_projection_retries_total: {
    type: "counter",
    help: "Times that a partition went back to its checkpoint",
    labels: ["projection"],
  },
  foldlog_http_request_duration_seconds: {
    type: "histogram",
    help: "From an HTTP request to its answer, by the pattern of its address",
    labels: ["route", "method", "status"],
    buckets: seconds,
  },
  foldlog_http_commands_in_flight: {
    type: "gauge",
    help: "Commands that this gateway has sent and not answered",
    labels: [],
  },
  foldlog_broker_waits: {
    type: "gauge",
    help: "Questions that wait for a broker that does not answer",
    labels: [],
  },
  foldlog_registry_up: {
    type: "gauge",
    help: "1 while the schema registry answers, as far as it was asked",
    labels: [],
  },
} as const satisfies Record<string, Declared>;

export type MetricName = keyof typeof metricTable;
type LabelsOf<N extends MetricName> = Readonly<
  Record<(typeof metricTable)[N]["labels"][number], string>
>;

export interface Metrics {
  /** Adds to a counter. */
  add<N extends MetricName>(name: N, labels: LabelsOf<N>, by?: number): void;
  /** Sets a gauge. */
  set<N extends MetricName>(name: N, labels: LabelsOf<N>, value: number): void;
  /** Raises a gauge to a value, and never lowers it. */
  max<N extends MetricName>(name: N, labels: LabelsOf<N>, value: number): void;
  /** Observes into a histogram. */
  observe<N extends MetricName>(name: N, labels: LabelsOf<N>, value: number): void;
  /** Takes one series of a gauge away, for a partition that went elsewhere. */
  remove<N extends MetricName>(name: N, labels: LabelsOf<N>): void;
  /** Everything in the text format of Prometheus. */
  text(): Promise<string>;
  readonly contentType: string;
}

/** Metrics of this process, with those of Node itself. */
export function openMetrics(version: string): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const counters = new Map<string, Counter>();
  const gauges = new Map<string, Gauge>();
  const histograms = new Map<string, Histogram>();
  for (const [name, declared] of Object.entries<Declared>(metricTable)) {
    const { help, labels, buckets } = declared;
    const options = { name, help, labelNames: [...labels], registers: [registry] };
    if (declared.type === "counter") counters.set(name, new Counter(options));
    else if (declared.type === "gauge") gauges.set(name, new Gauge(options));
    else histograms.set(name, new Histogram({ ...options, buckets: [...(buckets ?? seconds)] }));
  }
  const highest = new Map<string, number>();
  gauges.get("foldlog_build_info")?.set({ version }, 1);
  return {
    add: (name, labels, by = 1) => counters.get(name)?.inc(labels, by),
    set: (name, labels, value) => gauges.get(name)?.set(labels, value),
    max: (name, labels, value) => {
      const key = `${name} ${JSON.stringify(labels)}`;
      if (value <= (highest.get(key) ?? 0)) return;
      highest.set(key, value);
      gauges.get(name)?.set(labels, value);
    },
    observe: (name, labels, value) => histograms.get(name)?.observe(labels, value),
    remove: (name, labels) => gauges.get(name)?.remove(labels),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

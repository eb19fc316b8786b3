/** How a client reaches an application: over HTTP, or straight to Kafka. One exchange at a time. */

export interface TransportRequest {
  readonly method: "GET" | "POST";
  /** With its query, from the root of the API: `/commands/OpenAccount?waitMs=5000`. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON, or `null` for none. */
  readonly body: string | null;
}

export interface TransportResponse {
  readonly status: number;
  /** The header `Retry-After` as it came. */
  readonly retryAfter: string | null;
  readonly text: string;
}

export interface Transport {
  /** For messages: where this leads to. */
  readonly to: string;
  /** How long one exchange may wait for what is asked for, in milliseconds. */
  readonly waitAtMostMs: number;
  /** Rejects, with whatever it likes, where no whole answer came: the request may have been handled. */
  exchange(request: TransportRequest, signal: AbortSignal): Promise<TransportResponse>;
  /** Lets go of all that this holds. Calls under way fail. */
  close(): Promise<void>;
}

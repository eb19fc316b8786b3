/**
 * `foldlog/client`: a typed client for an application's HTTP API. It needs `fetch` and Web Crypto and nothing
 * else, so it runs in browsers and in Node 20 and later. `foldlog/client/kafka` does without the HTTP.
 */
export { type Client, client, type ClientOptions, type Served } from "./client.ts";
export { overHttp, type HttpOptions } from "./over-http.ts";
export {
  type AnyRow,
  type ListOptions,
  type Page,
  type Range,
  type Scalar,
  view,
  type View,
} from "./view.ts";
export {
  aggregateClient,
  type AggregateReads,
  type AggregateState,
  type EventFacts,
  type EventPage,
  type ReadOptions,
  type SendOptions,
} from "./aggregate-client.ts";
export type { Accepted, Answer, Conflict, Failed, Pending, Rejected } from "./answer.ts";
export type { CallOptions, Connection } from "./connection.ts";
export { ClientError, type FieldFault } from "./client-error.ts";
export { newCommandId } from "./command-id.ts";
export type { Transport, TransportRequest, TransportResponse } from "./transport.ts";
export type { Clock } from "../clock.ts";

/**
 * `foldlog/client/kafka`: the client of `foldlog/client` straight to Kafka and Postgres, without a gateway between
 * them. The same calls are answered in the same way.
 */
export { type LogTransport, overKafka, overLog } from "./over-kafka.ts";

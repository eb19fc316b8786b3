import {
  type FatalCode,
  FatalError,
  messageOf,
  TransientError,
  WriterLostError,
} from "../errors.ts";

/** The error codes of the Kafka protocol that are told apart here (org.apache.kafka.common.protocol.Errors). */
const code = {
  offsetOutOfRange: 1,
  unknownTopicOrPartition: 3,
  leaderNotAvailable: 5,
  notLeader: 6,
  messageTooLarge: 10,
  coordinatorLoading: 14,
  coordinatorNotAvailable: 15,
  notCoordinator: 16,
  invalidTopic: 17,
  recordListTooLarge: 18,
  notEnoughReplicas: 19,
  topicAuthorizationFailed: 29,
  groupAuthorizationFailed: 30,
  clusterAuthorizationFailed: 31,
  invalidTimestamp: 32,
  unsupportedSaslMechanism: 33,
  unsupportedVersion: 35,
  invalidPartitions: 37,
  invalidReplicationFactor: 38,
  invalidConfig: 40,
  invalidRequest: 42,
  policyViolation: 44,
  invalidProducerEpoch: 47,
  invalidProducerIdMapping: 49,
  concurrentTransactions: 51,
  transactionalIdAuthorizationFailed: 53,
  saslAuthenticationFailed: 58,
  invalidRecord: 87,
  producerFenced: 90,
} as const;

const fenced = new Set<number>([
  code.invalidProducerEpoch,
  code.invalidProducerIdMapping,
  code.producerFenced,
]);

const unauthorized = new Set<number>([
  code.topicAuthorizationFailed,
  code.groupAuthorizationFailed,
  code.clusterAuthorizationFailed,
  code.unsupportedSaslMechanism,
  code.transactionalIdAuthorizationFailed,
  code.saslAuthenticationFailed,
]);

/** Refusals that no retry cures and that our own checks should have prevented. */
const refused = new Set<number>([
  code.messageTooLarge,
  code.invalidTopic,
  code.recordListTooLarge,
  code.invalidTimestamp,
  code.unsupportedVersion,
  code.invalidRecord,
]);

/** The request was answered, and has had no effect or one that sending it again does not change. */
export const retriable = {
  /** An idempotent batch with the same sequence number is appended once, however often it is sent. */
  produce: new Set<number>([
    code.unknownTopicOrPartition,
    code.leaderNotAvailable,
    code.notLeader,
    code.notEnoughReplicas,
  ]),
  coordinator: new Set<number>([
    code.coordinatorLoading,
    code.coordinatorNotAvailable,
    code.notCoordinator,
    code.concurrentTransactions,
    code.unknownTopicOrPartition,
  ]),
  /**
   * Fewer than for other calls: a coordinator that could not replicate the decision also answers "not
   * available" or "not coordinator", and then nobody knows what the decision will have been.
   */
  endTxn: new Set<number>([code.coordinatorLoading, code.concurrentTransactions]),
} as const;

/** The error that carries the code that a broker answered with, or `null` where there was no answer to read. */
function answerIn(error: unknown): (Error & { readonly code: number }) | null {
  for (let at = error; at instanceof Error;) {
    const { code, cause, errors } = at as Error & { code?: unknown; errors?: unknown[] };
    if (typeof code === "number") return Object.assign(at, { code });
    at = cause ?? errors?.[0];
  }
  return null;
}

/** The error code that a broker answered with, or `null` where there was no answer to read. */
export function protocolCode(error: unknown): number | null {
  return answerIn(error)?.code ?? null;
}

/**
 * kafkajs drops the cause of a failed authentication and keeps its text. These are the texts of a lost
 * connection; any other is a refusal by the broker.
 */
const lostConnection = /: (Closed connection|Not connected|Connection .*|.* timed out)$/;

function isAuthenticationRefused({ name, message }: Error): boolean {
  return name === "KafkaJSSASLAuthenticationError" && !lostConnection.test(message);
}

/** Answers after which the metadata is looked up again. */
export function movedElsewhere(error: unknown): boolean {
  const answered = protocolCode(error);
  return answered === null || answered !== code.concurrentTransactions;
}

/** What a failed call on a producer means for the one who holds it. */
export function producerFailure(call: string, error: unknown): Error {
  if (error instanceof FatalError || error instanceof WriterLostError) return error;
  const answered = protocolCode(error);
  const what = `${call} failed: ${messageOf(error)}`;
  if (answered !== null && fenced.has(answered)) {
    return new WriterLostError("fenced", what, { cause: error });
  }
  return definiteFailure(call, error) ?? new WriterLostError("indefinite", what, { cause: error });
}

/**
 * A broker that hangs up before it has told its versions leaves kafkajs with a connection that it takes for
 * usable; its next request on it fails by this text, and by no class of its own.
 */
const halfConnected = "Broker not connected";

function isOfTransport(error: Error): boolean {
  if (error instanceof TransientError || error.name.startsWith("KafkaJS")) return true;
  return error.message === halfConnected;
}

/** The error to give up with, or `null` where asking again may help: a network or a broker on its way back. */
export function definiteFailure(call: string, error: unknown): Error | null {
  if (!(error instanceof Error)) return new Error(String(error));
  if (error instanceof FatalError) return error;
  const answered = isAuthenticationRefused(error)
    ? code.saslAuthenticationFailed
    : protocolCode(error);
  if (answered === null) {
    return isOfTransport(error) ? null : error;
  }
  if (unauthorized.has(answered)) {
    return new FatalError(
      "UNAUTHORIZED",
      `${call} was refused: ${messageOf(error)}. Check the credentials and the ACLs of this principal.`,
      { cause: error },
    );
  }
  if (refused.has(answered)) {
    return new FatalError("BROKEN_INVARIANT", `${call} was refused: ${messageOf(error)}`, {
      cause: error,
    });
  }
  return null;
}

/** What only a person can put right: a name, a number of partitions or replicas, a setting, a policy. */
const refusedByAdmin = new Set<number>([
  code.invalidTopic,
  code.invalidPartitions,
  code.invalidReplicationFactor,
  code.invalidConfig,
  code.invalidRequest,
  code.policyViolation,
]);

/** What a failed request about a topic means; `refusal` is its code where the broker will not have it. */
export function topicFailure(what: string, refusal: FatalCode, error: unknown): Error {
  const answer = answerIn(error);
  if (answer !== null && refusedByAdmin.has(answer.code)) {
    const text = `${what} was refused: ${answer.message} (code ${answer.code}).`;
    return new FatalError(refusal, text, { cause: error });
  }
  const failure = definiteFailure(what, error);
  return failure ?? new TransientError(`${what} failed: ${messageOf(error)}`, { cause: error });
}

export const { offsetOutOfRange, unknownTopicOrPartition } = code;

import { ClientError, type FieldFault } from "./client-error.ts";

/** What a gateway's answer says, read with a doubt: what is not as the contract has it is told, not passed on. */

/** As much of an answer as its message needs. */
interface AnswerFacts {
  readonly asked: string;
  readonly status: number;
}

type Body = Readonly<Record<string, unknown>>;

/**
 * A JSON object, its integers exact: one that a number cannot hold is a `bigint`.
 * @throws SyntaxError where the text is no JSON object
 * @throws ClientError `BAD_ANSWER` for such an integer on a runtime that cannot read it (Node before 21)
 */
export function readJson(text: string): Body {
  const value: unknown = JSON.parse(text, exactly);
  if (isObject(value)) return value;
  throw new SyntaxError("it is no object");
}

/** `context` came with ECMAScript's "JSON.parse source text access". */
function exactly(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value !== "number" || !Number.isInteger(value) || Number.isSafeInteger(value)) {
    return value;
  }
  const digits = context?.source;
  if (digits === undefined) {
    const message = `The answer has the integer ${value}, which this runtime reads inexactly. Use Node 22 or later.`;
    throw new ClientError(message, { code: "BAD_ANSWER" });
  }
  return /^-?\d+$/.test(digits) ? BigInt(digits) : value;
}

export function isObject(value: unknown): value is Body {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The refusal in an answer. */
export function problemOf(
  answer: AnswerFacts & { readonly body: Body },
  commandId: string | null = null,
): ClientError {
  const { code, detail } = answer.body;
  if (typeof code !== "string" || typeof detail !== "string") {
    return badAnswer(answer, "it is no problem with a code and a detail");
  }
  const errors = Array.isArray(answer.body["errors"]) ? answer.body["errors"].filter(isFault) : [];
  const { status } = answer;
  return new ClientError(`${answer.asked}: ${detail}`, { code, status, commandId, errors });
}

function isFault(value: unknown): value is FieldFault {
  if (!isObject(value)) return false;
  return typeof value["field"] === "string" && typeof value["message"] === "string";
}

export function badAnswer({ asked, status }: AnswerFacts, what: string): ClientError {
  return new ClientError(
    `${asked} was answered ${status} with something other than the contract has: ${what}. ` +
      "Is this the address of a Foldlog gateway, and of a version that goes with this client?",
    { code: "BAD_ANSWER", status },
  );
}

type Answer = AnswerFacts & { readonly body: Body };

/** @throws ClientError `BAD_ANSWER` */
export function textIn(answer: Answer, name: string): string {
  const value = answer.body[name];
  if (typeof value === "string") return value;
  throw badAnswer(answer, `${name} is ${shown(value)}, not a text`);
}

/** A version: a whole number from 0. @throws ClientError `BAD_ANSWER` */
export function versionIn(answer: Answer, name: string): number {
  const value = answer.body[name];
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw badAnswer(answer, `${name} is ${shown(value)}, not a version`);
}

/** @throws ClientError `BAD_ANSWER` */
export function objectsIn(answer: Answer, name: string): readonly Body[] {
  const value: unknown = answer.body[name];
  if (Array.isArray(value) && value.every(isObject)) return value;
  throw badAnswer(answer, `${name} is not a list of objects`);
}

/** @throws ClientError `BAD_ANSWER` */
export function objectIn(answer: Answer, name: string): Body {
  const value = answer.body[name];
  if (isObject(value)) return value;
  throw badAnswer(answer, `${name} is ${shown(value)}, not an object`);
}

function shown(value: unknown): string {
  if (value === undefined) return "missing";
  if (typeof value === "bigint") return String(value);
  return JSON.stringify(value).slice(0, 60);
}

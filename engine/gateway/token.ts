import { createHash } from "node:crypto";
import { isValidId } from "../message.ts";
import { Problem } from "./problem.ts";

/**
 * The token of an accepted command (G9): what a reader hands in to see at least what that command did. Opaque
 * to clients and no secret: it says where the command's last event is, not who may read it. Pure.
 */
export interface Token {
  /** The events topic. */
  readonly topic: string;
  readonly partition: number;
  /** Of the command's first handling, in the commands topic. */
  readonly commandOffset: bigint;
  readonly aggregateId: string;
  /** The aggregate's version after the command. */
  readonly version: number;
}

/** Raised where tokens change their form: older ones are refused, not misread. */
const form = 1;

/**
 * The text of a token, of characters that an address takes as they are. `era` numbers the clusters that the log
 * has lived in: offsets of one mean nothing in the next.
 */
export function tokenOf(token: Token, era: number): string {
  const { topic, partition, commandOffset, aggregateId, version } = token;
  const fields = [form, era, topic, partition, String(commandOffset), aggregateId, version];
  const json = JSON.stringify(fields);
  return `${Buffer.from(json, "utf8").toString("base64url")}.${checksum(json)}`;
}

/** Against a token that was cut off or mixed up, not against a liar. */
function checksum(json: string): string {
  return createHash("sha256").update(json).digest("base64url").slice(0, 6);
}

/** More than the longest topic name and id take, escaped. */
const maxLength = 3_000;

/**
 * Reads what `tokenOf` wrote in this era; every field is within what a topic and Postgres can hold.
 * @throws Problem `INVALID_TOKEN`
 */
export function readToken(text: string, era: number): Token {
  const fields = fieldsOf(text);
  if (fields?.[0] !== form) throw invalid("It is not a token as an accepted command gives it");
  const [, ofEra, topic, partition, commandOffset, aggregateId, version] = fields;
  const isOurs =
    isCount(ofEra) &&
    isTopic(topic) &&
    isCount(partition) &&
    partition < 2 ** 31 &&
    isOffset(commandOffset) &&
    typeof aggregateId === "string" &&
    isValidId(aggregateId) &&
    isCount(version) &&
    version > 0;
  if (!isOurs) throw invalid("It is not a token as an accepted command gives it");
  if (ofEra !== era) {
    throw invalid("It is of another era: the log has moved to another cluster since it was given");
  }
  const token = { topic, partition, commandOffset: BigInt(commandOffset), aggregateId, version };
  if (tokenOf(token, era) !== text) throw invalid("It was cut off or changed on the way");
  return token;
}

function fieldsOf(text: string): readonly unknown[] | null {
  if (text.length > maxLength) return null;
  const encoded = /^([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]{6}$/.exec(text)?.[1];
  if (encoded === undefined) return null;
  try {
    const parsed: unknown = JSON.parse(Buffer.from(encoded, "base64url").toString("utf8"));
    return Array.isArray(parsed) && parsed.length === 7 ? parsed : null;
  } catch {
    return null; // Not JSON: not ours.
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isTopic(value: unknown): value is string {
  return typeof value === "string" && /^[A-Za-z0-9._-]{1,249}$/.test(value);
}

function isOffset(value: unknown): value is string {
  if (typeof value !== "string" || !/^(?:0|[1-9][0-9]{0,18})$/.test(value)) return false;
  return BigInt(value) < 2n ** 63n;
}

function invalid(why: string): Problem {
  return new Problem("INVALID_TOKEN", {
    detail: `${why}. Send the token of an answer just as it was given, or none for the view as it is.`,
    errors: [{ field: "query token", message: "is not a token of this deployment" }],
  });
}

import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from "node:crypto";
import { FatalError } from "../../engine/errors.ts";

/** SCRAM as a client speaks it (RFC 5802, RFC 7677), without channel binding. Pure but for its nonce. */

export type ScramHash = "sha256" | "sha512";

export interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** One conversation: first message, the answer to the server's first, the check of the server's last. */
export interface ScramConversation {
  readonly first: string;
  /** @throws FatalError `UNAUTHORIZED` for no answer to our question, or for too little or too much work */
  answer(serverFirst: string): string;
  /** Whether the server knows the password too; an impostor does not. */
  isGenuine(serverLast: string): boolean;
}

/** Kafka asks for at least 4,096; many more would be a server that wants to keep us busy. */
const iterationBounds = { least: 4_096, most: 1_000_000 };
const keyBytes: Readonly<Record<ScramHash, number>> = { sha256: 32, sha512: 64 };

export function scram(
  hash: ScramHash,
  { username, password }: Credentials,
  nonce = randomBytes(18).toString("base64"),
): ScramConversation {
  const name = username.replaceAll("=", "=3D").replaceAll(",", "=2C");
  const bare = `n=${name},r=${nonce}`;
  const keyed = (key: Buffer, text: string) => createHmac(hash, key).update(text).digest();
  let signature: Buffer = Buffer.alloc(0);
  return {
    first: `n,,${bare}`,

    answer(serverFirst) {
      const { r: joint = "", s: salt = "", i: rounds = "" } = attributesOf(serverFirst);
      const iterations = Number(rounds);
      const { least, most } = iterationBounds;
      if (!joint.startsWith(nonce) || joint.length === nonce.length || salt === "") {
        throw new FatalError("UNAUTHORIZED", "The broker's SCRAM answer is none to our question.");
      }
      if (!Number.isInteger(iterations) || iterations < least || iterations > most) {
        throw new FatalError(
          "UNAUTHORIZED",
          `The broker asks for ${rounds} SCRAM iterations, which is not ${least} to ${most}.`,
        );
      }
      const salted = pbkdf2Sync(
        password.normalize("NFKC"),
        Buffer.from(salt, "base64"),
        iterations,
        keyBytes[hash],
        hash,
      );
      const bareFinal = `c=biws,r=${joint}`;
      const said = `${bare},${serverFirst},${bareFinal}`;
      const clientKey = keyed(salted, "Client Key");
      const storedKey = createHash(hash).update(clientKey).digest();
      const clientSignature = keyed(storedKey, said);
      const proof = clientKey.map((byte, i) => byte ^ (clientSignature[i] ?? 0));
      signature = keyed(keyed(salted, "Server Key"), said);
      return `${bareFinal},p=${Buffer.from(proof).toString("base64")}`;
    },

    isGenuine(serverLast) {
      const said = Buffer.from(attributesOf(serverLast)["v"] ?? "", "base64");
      return said.length === signature.length && timingSafeEqual(said, signature);
    },
  };
}

function attributesOf(message: string): Readonly<Record<string, string | undefined>> {
  return Object.fromEntries(message.split(",").map((part) => [part.slice(0, 1), part.slice(2)]));
}

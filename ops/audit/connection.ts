import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Config } from "../../engine/config.ts";
import { FatalError, messageOf, TransientError } from "../../engine/errors.ts";
import { scram } from "./scram.ts";
import { Answer, bytes, int16, int32, string, struct } from "./wire.ts";

/** One connection to one broker: frames, correlation, TLS and SASL. */

export type KafkaSettings = Config["kafka"];

/** A request with its version; all of those that the audit uses have the header without tagged fields. */
export interface Api {
  readonly key: number;
  readonly version: number;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

const saslHandshake: Api = { key: 17, version: 1 };
const saslAuthenticate: Api = { key: 36, version: 0 };

const connectTimeoutMs = 5_000;
const answerTimeoutMs = 15_000;
/** More than any answer that the audit asks for; a peer that is no broker "announces" more than this. */
const maxAnswerBytes = 256 * 1024 * 1024;

interface Waiting {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/** Requests are answered in their order, so a long poll holds up whatever is asked after it. */
export class Connection {
  private readonly socket: Socket;
  private readonly clientId: string;
  private readonly waiting = new Map<number, Waiting>();
  private received: Buffer[] = [];
  private receivedBytes = 0;
  private correlation = 0;
  private broken: Error | null = null;

  private constructor(socket: Socket, clientId: string) {
    this.socket = socket;
    this.clientId = clientId;
    socket.on("data", (data: Buffer) => {
      this.receive(data);
    });
    socket.on("error", (error) => {
      this.fail(error);
    });
    socket.on("close", () => {
      this.fail(new Error("the broker closed the connection"));
    });
  }

  /**
   * Connects and authenticates.
   * @throws TransientError where the broker cannot be reached
   * @throws FatalError `UNAUTHORIZED` where it does not let us in
   */
  static async open(address: Address, settings: KafkaSettings): Promise<Connection> {
    const connection = new Connection(await openSocket(address, settings), settings.clientId);
    try {
      if (settings.sasl !== null) await authenticate(connection, settings.sasl);
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  get isBroken(): boolean {
    return this.broken !== null;
  }

  /** @throws TransientError where no answer comes, or one that is none */
  async ask<T>({ key, version }: Api, body: Buffer, read: (answer: Answer) => T): Promise<T> {
    if (this.broken !== null) throw transient(this.broken);
    const id = this.correlation++;
    const header = struct(int16(key), int16(version), int32(id), string(this.clientId));
    const answered = new Promise<Answer>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.fail(new Error(`the broker did not answer within ${answerTimeoutMs} ms`));
      }, answerTimeoutMs);
      this.waiting.set(id, { resolve, reject, timer });
    });
    this.socket.write(bytes(struct(header, body)));
    try {
      return read(await answered);
    } catch (error) {
      this.close();
      throw error instanceof FatalError ? error : transient(error);
    }
  }

  close(): void {
    this.fail(new Error("the connection was closed"));
  }

  private receive(data: Buffer): void {
    this.received.push(data);
    this.receivedBytes += data.length;
    while (this.receivedBytes >= 4) {
      const first = this.gather(4);
      const size = first.readInt32BE(0);
      if (size < 4 || size > maxAnswerBytes) {
        this.fail(new Error("what listens there does not speak Kafka's protocol"));
        return;
      }
      if (this.receivedBytes < 4 + size) return;
      const all = this.gather(4 + size);
      this.received = all.length > 4 + size ? [all.subarray(4 + size)] : [];
      this.receivedBytes -= 4 + size;
      this.deliver(all.subarray(4, 4 + size));
    }
  }

  /** The first buffer, made to hold at least `length` bytes. */
  private gather(length: number): Buffer {
    const [first] = this.received;
    if (first !== undefined && first.length >= length) return first;
    const all = Buffer.concat(this.received);
    this.received = [all];
    return all;
  }

  private deliver(frame: Buffer): void {
    const id = frame.readInt32BE(0);
    const waiting = this.waiting.get(id);
    if (waiting === undefined) {
      this.fail(new Error("the broker answered what was not asked"));
      return;
    }
    this.waiting.delete(id);
    clearTimeout(waiting.timer);
    waiting.resolve(new Answer(frame.subarray(4)));
  }

  private fail(error: Error): void {
    this.broken ??= error;
    this.socket.destroy();
    for (const { reject, timer } of this.waiting.values()) {
      clearTimeout(timer);
      reject(this.broken);
    }
    this.waiting.clear();
  }
}

function transient(error: unknown): TransientError {
  return new TransientError(messageOf(error), { cause: error });
}

function openSocket({ host, port }: Address, { tls }: KafkaSettings): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket =
      tls === null
        ? connectTcp({ host, port })
        : connectTls({ host, port, ...(isIP(host) === 0 && { servername: host }), ...tls });
    const timer = setTimeout(() => {
      fail(new Error(`no connection within ${connectTimeoutMs} ms`));
    }, connectTimeoutMs);
    const fail = (error: Error) => {
      clearTimeout(timer);
      socket.destroy();
      reject(new TransientError(`${host}:${port}: ${error.message}`, { cause: error }));
    };
    socket.setNoDelay(true);
    socket.once("error", fail);
    socket.once(tls === null ? "connect" : "secureConnect", () => {
      clearTimeout(timer);
      socket.off("error", fail);
      resolve(socket);
    });
  });
}

type Sasl = NonNullable<KafkaSettings["sasl"]>;

async function authenticate(connection: Connection, sasl: Sasl): Promise<void> {
  const { mechanism, username, password } = sasl;
  const name = mechanism.toUpperCase();
  const { code, offered } = await connection.ask(saslHandshake, string(name), (answer) => ({
    code: answer.int16(),
    offered: answer.array((it) => it.string() ?? ""),
  }));
  if (code !== 0) {
    throw refused(`The broker does not offer SASL ${name} but ${offered.join(", ") || "none"}`);
  }
  const say = (text: string) =>
    connection.ask(saslAuthenticate, bytes(Buffer.from(text, "utf8")), (answer) => {
      const error = { code: answer.int16(), message: answer.string() };
      const said = answer.bytes() ?? Buffer.alloc(0);
      if (error.code === 0) return said.toString("utf8");
      throw refused(`The broker does not let ${username} in: ${error.message ?? error.code}`);
    });

  if (mechanism === "plain") {
    await say(`\0${username}\0${password}`);
    return;
  }
  const hash = mechanism === "scram-sha-256" ? "sha256" : "sha512";
  const conversation = scram(hash, { username, password });
  const last = await say(conversation.answer(await say(conversation.first)));
  if (!conversation.isGenuine(last)) {
    throw refused("What listens there does not know our password: it is not the broker");
  }
}

function refused(what: string): FatalError {
  return new FatalError(
    "UNAUTHORIZED",
    `${what}; check KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD.`,
  );
}

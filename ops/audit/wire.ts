/**
 * Kafka's primitive types (Kafka protocol guide, "Protocol Primitive Types"), as far as the audit speaks them.
 * Written for the audit alone: see `log-reader.ts` for why it shares nothing with the engine's client.
 */

export function int8(value: number): Buffer {
  const bytes = Buffer.alloc(1);
  bytes.writeInt8(value);
  return bytes;
}

export function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

export function int64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return bytes;
}

export function string(text: string): Buffer {
  const bytes = Buffer.from(text, "utf8");
  return Buffer.concat([int16(bytes.length), bytes]);
}

export function bytes(content: Buffer): Buffer {
  return Buffer.concat([int32(content.length), content]);
}

export function array(items: readonly Buffer[]): Buffer {
  return Buffer.concat([int32(items.length), ...items]);
}

export function struct(...fields: readonly Buffer[]): Buffer {
  return Buffer.concat(fields);
}

/** Reads an answer field by field; throws `RangeError` where it ends too early. */
export class Answer {
  private readonly data: Buffer;
  private at = 0;

  constructor(data: Buffer) {
    this.data = data;
  }

  int8(): number {
    return this.data.readInt8(this.step(1));
  }

  int16(): number {
    return this.data.readInt16BE(this.step(2));
  }

  int32(): number {
    return this.data.readInt32BE(this.step(4));
  }

  int64(): bigint {
    return this.data.readBigInt64BE(this.step(8));
  }

  string(): string | null {
    const length = this.int16();
    return length < 0 ? null : this.take(length).toString("utf8");
  }

  bytes(): Buffer | null {
    const length = this.int32();
    return length < 0 ? null : this.take(length);
  }

  /** A null array reads as an empty one. */
  array<T>(read: (answer: Answer) => T): T[] {
    const items: T[] = [];
    const count = this.int32();
    for (let i = 0; i < count; i++) items.push(read(this));
    return items;
  }

  private take(length: number): Buffer {
    const from = this.step(length);
    return this.data.subarray(from, from + length);
  }

  private step(length: number): number {
    const from = this.at;
    this.at += length;
    if (this.at > this.data.length) throw new RangeError("The answer ends before its last field");
    return from;
  }
}

import { hash } from "node:crypto";

/** What is remembered of a command id on its aggregate; −1 and NaN stand for what is not known. */
export interface HandledCommand {
  /** The offset of the handling that counts: the first one, as long as the command id is protected. */
  readonly commandOffset: number;
  /** The replies offset of its answer; −1 where only events told of it. */
  readonly replyOffset: number;
  /** Milliseconds since the epoch: when the command was sent, or the earliest later time that is known. */
  readonly sentAt: number;
  /** Milliseconds since the epoch; NaN where nobody knows. */
  readonly issuedAt: number;
  /** The version after its last event; −1 where it has none. */
  readonly version: number;
  /** See `digestOf`; 0 while there is none. */
  readonly answer: number;
}

const fields = ["commandOffset", "replyOffset", "sentAt", "issuedAt", "version", "answer"] as const;
const keyWords = 3;
const chunkBits = 12;
const chunkSize = 1 << chunkBits;
const emptySlot = 0;

/**
 * Command id on aggregate → what became of it, for millions of them: 60 bytes each in typed arrays outside the
 * heap, and 8 to 16 for the index. A key is 96 bits of SHA-256, so that among a hundred million commands two
 * are mistaken for one with a chance of 10^-13.
 */
export class HandledCommands {
  private index = new Uint32Array(1 << 12);
  private readonly keys: Uint32Array[] = [];
  private readonly values: Float64Array[] = [];
  size = 0;

  get(aggregateId: string, commandId: string): HandledCommand | null {
    const slot = this.slotOf(keyOf(aggregateId, commandId));
    const entry = (this.index[slot] as number) - 1;
    if (entry < 0) return null;
    const values = this.values[entry >> chunkBits] as Float64Array;
    const at = (entry & (chunkSize - 1)) * fields.length;
    const value = (field: number) => values[at + field] as number;
    return {
      commandOffset: value(0),
      replyOffset: value(1),
      sentAt: value(2),
      issuedAt: value(3),
      version: value(4),
      answer: value(5),
    };
  }

  set(aggregateId: string, commandId: string, command: HandledCommand): void {
    const key = keyOf(aggregateId, commandId);
    let slot = this.slotOf(key);
    if (this.index[slot] === emptySlot) {
      if ((this.size + 1) * 2 > this.index.length) {
        this.grow();
        slot = this.slotOf(key);
      }
      this.index[slot] = this.add(key) + 1;
    }
    const entry = (this.index[slot] as number) - 1;
    const values = this.values[entry >> chunkBits] as Float64Array;
    const at = (entry & (chunkSize - 1)) * fields.length;
    fields.forEach((field, i) => {
      values[at + i] = command[field];
    });
  }

  /** Where the key is, or where it would go. */
  private slotOf(key: Buffer): number {
    const mask = this.index.length - 1;
    const [a, b, c] = [key.readUInt32LE(0), key.readUInt32LE(4), key.readUInt32LE(8)];
    for (let slot = a & mask; ; slot = (slot + 1) & mask) {
      const entry = (this.index[slot] as number) - 1;
      if (entry < 0) return slot;
      const keys = this.keys[entry >> chunkBits] as Uint32Array;
      const at = (entry & (chunkSize - 1)) * keyWords;
      if (keys[at] === a && keys[at + 1] === b && keys[at + 2] === c) return slot;
    }
  }

  private add(key: Buffer): number {
    const entry = this.size++;
    if (entry >> chunkBits === this.keys.length) {
      this.keys.push(new Uint32Array(chunkSize * keyWords));
      this.values.push(new Float64Array(chunkSize * fields.length));
    }
    const keys = this.keys[entry >> chunkBits] as Uint32Array;
    const at = (entry & (chunkSize - 1)) * keyWords;
    for (let word = 0; word < keyWords; word++) keys[at + word] = key.readUInt32LE(word * 4);
    return entry;
  }

  private grow(): void {
    this.index = new Uint32Array(this.index.length * 2);
    const mask = this.index.length - 1;
    for (let entry = 0; entry < this.size; entry++) {
      const keys = this.keys[entry >> chunkBits] as Uint32Array;
      let slot = (keys[(entry & (chunkSize - 1)) * keyWords] as number) & mask;
      while (this.index[slot] !== emptySlot) slot = (slot + 1) & mask;
      this.index[slot] = entry + 1;
    }
  }
}

/** Unambiguous for any two ids, whatever is in them. */
function keyOf(aggregateId: string, commandId: string): Buffer {
  return hash("sha256", `${aggregateId.length}:${aggregateId}${commandId}`, "buffer");
}

/** A number that two different answers share with a chance of 2^-48; never 0. */
export function digestOf(answer: readonly unknown[]): number {
  return hash("sha256", JSON.stringify(answer), "buffer").readUIntBE(0, 6) + 1;
}

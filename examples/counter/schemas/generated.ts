/**
 * Generated from the .avsc files by `node schemas/generate.ts`. Never edited: a test holds it fresh.
 */
import type { RecordType } from "foldlog";

/** Begins again at 0. */
export interface ClearCounter {
  /**
   * Unique for each intent of the sender; the same id again is the same command. A UUIDv7 is best.
   */
  readonly commandId: string;
  /** The aggregate id, 1 to 255 bytes of UTF-8; also the record's key. */
  readonly counterId: string;
  /**
   * When the command id was issued, for ids that are not UUIDv7. Milliseconds since the epoch.
   */
  readonly issuedAt: number | null;
  /** The version that the counter must have; 0: it must not exist; null: any. */
  readonly expectedVersion: number | null;
}

/** Counts more. */
export interface Increment {
  /**
   * Unique for each intent of the sender; the same id again is the same command. A UUIDv7 is best.
   */
  readonly commandId: string;
  /** The aggregate id, 1 to 255 bytes of UTF-8; also the record's key. */
  readonly counterId: string;
  /**
   * When the command id was issued, for ids that are not UUIDv7. Milliseconds since the epoch.
   */
  readonly issuedAt: number | null;
  /** The version that the counter must have; 0: it must not exist; null: any. */
  readonly expectedVersion: number | null;
  /** Positive. */
  readonly by: number;
}

/** It began again at 0. */
export type CounterCleared = Readonly<Record<string, never>>;

/** More was counted. */
export interface Incremented {
  readonly by: number;
}

/** A counter as its command processor folds it. Private to the processor. */
export interface CounterState {
  /** Never negative. */
  readonly value: number;
}

/** Every command of the counter. */
export type CounterCommand = | { readonly type: "ClearCounter"; readonly data: ClearCounter } | { readonly type: "Increment"; readonly data: Increment };

/** Every event of the counter. */
export type CounterEvent = | { readonly type: "CounterCleared"; readonly data: CounterCleared } | { readonly type: "Incremented"; readonly data: Incremented };

export const ClearCounter: RecordType = {
  name: "ClearCounter",
  fullName: "example.counter.ClearCounter",
  versions: [{ version: 1, fingerprint: "a7e282a46c3ea7add9ed2caf2621e9594e6083bc72065e01db87c58a69057c8b", schema: {"type":"record","name":"ClearCounter","namespace":"example.counter","kind":"command","doc":"Begins again at 0.","fields":[{"name":"commandId","type":"string","doc":"Unique for each intent of the sender; the same id again is the same command. A UUIDv7 is best."},{"name":"counterId","type":"string","doc":"The aggregate id, 1 to 255 bytes of UTF-8; also the record's key."},{"name":"issuedAt","type":["null",{"type":"long","logicalType":"timestamp-millis"}],"default":null,"doc":"When the command id was issued, for ids that are not UUIDv7."},{"name":"expectedVersion","type":["null","long"],"default":null,"doc":"The version that the counter must have; 0: it must not exist; null: any."}]} }],
};

export const Increment: RecordType = {
  name: "Increment",
  fullName: "example.counter.Increment",
  versions: [{ version: 1, fingerprint: "a538735aed5aee8530b441135a459acc0810178fcb41510cfa4b1c70e6c39c1e", schema: {"type":"record","name":"Increment","namespace":"example.counter","kind":"command","doc":"Counts more.","fields":[{"name":"commandId","type":"string","doc":"Unique for each intent of the sender; the same id again is the same command. A UUIDv7 is best."},{"name":"counterId","type":"string","doc":"The aggregate id, 1 to 255 bytes of UTF-8; also the record's key."},{"name":"issuedAt","type":["null",{"type":"long","logicalType":"timestamp-millis"}],"default":null,"doc":"When the command id was issued, for ids that are not UUIDv7."},{"name":"expectedVersion","type":["null","long"],"default":null,"doc":"The version that the counter must have; 0: it must not exist; null: any."},{"name":"by","type":"long","doc":"Positive."}]} }],
};

export const CounterCleared: RecordType = {
  name: "CounterCleared",
  fullName: "example.counter.CounterCleared",
  versions: [{ version: 1, fingerprint: "ab718c9323b5eafb49fbdd0bd16bf41c44d8fb6758c4753bac1ff69eda763383", schema: {"type":"record","name":"CounterCleared","namespace":"example.counter","kind":"event","doc":"It began again at 0.","fields":[]} }],
};

export const Incremented: RecordType = {
  name: "Incremented",
  fullName: "example.counter.Incremented",
  versions: [{ version: 1, fingerprint: "10836b335e8d46fe84a16ae89ccf2a9d8b009585f547f59fff493733b3289d0b", schema: {"type":"record","name":"Incremented","namespace":"example.counter","kind":"event","doc":"More was counted.","fields":[{"name":"by","type":"long"}]} }],
};

export const CounterState: RecordType = {
  name: "CounterState",
  fullName: "example.counter.CounterState",
  versions: [{ version: 1, fingerprint: "91417c7fd8ad4daff673d2fe7717b0c0720cbd2de60c3eaacc7eeac1eee5ded8", schema: {"type":"record","name":"CounterState","namespace":"example.counter","kind":"state","doc":"A counter as its command processor folds it. Private to the processor.","fields":[{"name":"value","type":"long","doc":"Never negative."}]} }],
};

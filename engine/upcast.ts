import type { Message } from "./decider.ts";

/** From a record that is no longer written to the one that took its place. Pure; it must not throw. */
export type Upcast = (old: never) => Message;

/** By the full name of the old record. */
export type Upcasts = Readonly<Record<string, Upcast>>;

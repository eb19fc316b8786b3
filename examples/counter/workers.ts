import { commandProcessor, projector } from "foldlog";
import { counter } from "./counter.ts";
import { counts } from "./counts.ts";
import { topics } from "./topics.ts";

/** Every worker of this application. Here they share a process; each can have one of its own. */
export const workers = {
  counter: commandProcessor(counter, topics.counter),
  counts: projector(counts),
};

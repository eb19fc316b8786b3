import { aggregateTopics, Position, Reply } from "foldlog";
import {
  ClearCounter,
  CounterCleared,
  CounterState,
  Increment,
  Incremented,
} from "./schemas/generated.ts";

/** Every topic of this application, declared once. */
export const topics = {
  counter: aggregateTopics({
    namespace: "example",
    aggregate: "counter",
    partitions: 4,
    commands: [Increment, ClearCounter],
    events: [Incremented, CounterCleared],
    state: CounterState,
    reply: Reply,
    position: Position,
  }),
};

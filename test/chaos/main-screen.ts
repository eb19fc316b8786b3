import { systemClock } from "../../engine/clock.ts";
import { count } from "../../ops/verbs/output.ts";
import { startProgress } from "../../ops/verbs/progress.ts";
import { clockTime, faultTarget, faultVerb } from "./report-words.ts";
import type { Screen } from "./run.ts";

export interface OwnScreen extends Screen {
  end(): void;
}

/** Steps as lines with the time; between them, on a terminal, how it goes. */
export function openScreen(startedAt: number): OwnScreen {
  const time = () => clockTime(systemClock.now() - startedAt).padStart(6);
  let now = "";
  const progress = startProgress(() => `${time()}  ${now}`);
  return {
    step: (text) => {
      now = "";
      progress.say(`${time()}  ${text}`);
    },
    live: ({ sentPerSecond, answeredPerSecond, commandLag }, inForce) => {
      const lag = commandLag === null ? "nobody can tell how many" : count(commandLag);
      const faults = inForce.map((it) => `${faultTarget(it)} ${faultVerb(it)}`).join(", ");
      now = `${sentPerSecond} sent/s, ${answeredPerSecond} answered/s, ${lag} waiting  ${faults}`;
    },
    end: () => {
      progress.end();
    },
  };
}

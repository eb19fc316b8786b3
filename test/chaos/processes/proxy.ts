/** The process of `proxies.ts`: does what its parent asks by messages, and ends with it. */
import { httpDialogue } from "../../faults/http-dialogue.ts";
import { kafkaDialogue } from "../../faults/kafka-dialogue.ts";
import { type Link, startLink } from "../../faults/link.ts";
import { postgresDialogue } from "../../faults/postgres-dialogue.ts";
import type { Asked, LinkName, Passage, Told } from "./proxies.ts";
import { Rules } from "./proxy-rules.ts";

const dialogues = {
  kafka: kafkaDialogue,
  postgres: postgresDialogue,
  registry: httpDialogue,
  http: httpDialogue,
} as const satisfies Record<LinkName, unknown>;

const rules = new Rules({ sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)) });
const links: Link[] = [];
/** Of those at a point, waiting for their end. */
const atPoint = new Map<string, () => void>();

process.on("disconnect", () => process.exit());
process.on("message", (message) => void answer(message as Asked));

async function answer(asked: Asked): Promise<void> {
  try {
    tell({ n: asked.n, failure: null, result: (await carryOut(asked)) ?? null });
  } catch (error) {
    const failure = error instanceof Error ? error.message : String(error);
    tell({ n: asked.n, failure, result: null });
  }
}

async function carryOut(asked: Asked): Promise<unknown> {
  switch (asked.do) {
    case "open":
      links.push(await open(asked.passage));
      return;
    case "disturb":
      rules.disturb(asked.key, asked.fault, asked.seed);
      return;
    case "settle":
      return rules.settle(asked.key);
    case "watch":
      rules.watch(asked.key, {
        link: asked.link,
        name: asked.name,
        drops: asked.when === "before" ? "drop-request" : "drop-answer",
        onReached: () => untilKilled(asked.key),
      });
      return;
    case "unwatch":
      rules.unwatch(asked.key);
      return;
    case "killed":
      atPoint.get(asked.key)?.();
      atPoint.delete(asked.key);
      return;
    case "hang up":
      for (const link of links) link.hangUp();
      return;
    case "count":
      return rules.counts;
  }
}

function open({ link, listen, to }: Passage): Promise<Link> {
  return startLink({
    listen,
    to,
    dialogue: dialogues[link],
    fateOf: (request) => rules.fateOf(link, request),
  });
}

function untilKilled(key: string): Promise<void> {
  return new Promise((resolve) => {
    atPoint.set(key, resolve);
    tell({ reached: key });
  });
}

function tell(told: Told): void {
  process.send?.(told);
}

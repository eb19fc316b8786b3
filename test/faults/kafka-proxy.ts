import { type ApiName, kafkaDialogue } from "./kafka-dialogue.ts";
import { type Fate, type Link, startLink } from "./link.ts";

/** A fault of one request, which a test injects. */
export interface Fault {
  readonly api: ApiName;
  /** `Fate` says what each of them does; a `stall` and a `strand` hold the request `until` then. */
  readonly does:
    "lose-request" | "lose-answer" | "halve-answer" | "swallow-answer" | "cut" | "stall" | "strand";
  readonly until?: Promise<unknown>;
}

/** A link to a broker, of which a test loses requests one by one. */
export interface KafkaProxy extends Link {
  /** Applies to the next request of that API; several faults apply to as many requests, in order. */
  inject(fault: Fault): void;
  /** Forgets the faults that have hit nothing yet. */
  heal(): void;
  /** How many requests of that API have passed or been hit. */
  seen(api: ApiName): number;
  /** How many requests of that API the broker has answered, whether or not the client heard of it. */
  answered(api: ApiName): number;
}

export async function startKafkaProxy(listenPort: number, brokerPort: number): Promise<KafkaProxy> {
  const faults: Fault[] = [];
  const seen = new Counts();
  const answered = new Counts();
  const link = await startLink({
    listen: { host: "127.0.0.1", port: listenPort },
    to: { host: "127.0.0.1", port: brokerPort },
    dialogue: kafkaDialogue,
    fateOf: ({ name }) => {
      seen.add(name);
      const index = faults.findIndex(({ api }) => api === name);
      const [fault] = index < 0 ? [] : faults.splice(index, 1);
      return fault === undefined ? null : fateBy(fault);
    },
    onAnswer: (name) => {
      answered.add(name);
    },
  });
  return {
    ...link,
    inject: (fault) => {
      faults.push(fault);
    },
    heal: () => {
      faults.length = 0;
    },
    seen: (api) => seen.of(api),
    answered: (api) => answered.of(api),
  };
}

function fateBy({ does, until }: Fault): Fate {
  if (does === "stall" || does === "strand") return { does, until: async () => until };
  return { does };
}

class Counts {
  private readonly counts = new Map<string, number>();
  add(name: string): void {
    this.counts.set(name, this.of(name) + 1);
  }
  of(name: string): number {
    return this.counts.get(name) ?? 0;
  }
}

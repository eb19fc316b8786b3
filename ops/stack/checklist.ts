/** Where a start shows how far it is. */
export interface Checklist {
  /**
   * Runs one step and shows it with its time; what it `say`s last stands behind the label. A step that
   * throws is shown as failed, and throws on; others that end with the same error were cut short by it.
   */
  step<T>(label: string, work: (say: (note: string) => void) => Promise<T>): Promise<T>;
  /** A line of its own. */
  readonly line: (text: string) => void;
}

/** The little of an output stream that a checklist needs. */
export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

type Mark = "✓" | "✗" | "–";

interface Step {
  readonly label: string;
  readonly startedMs: number;
  note: string;
}

const frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const frameMs = 100;
/** Where nothing can be animated, a step that lasts this long says so, and then now and again. */
const announceMs = { first: 4_000, later: 30_000 };

/** Animated on a terminal; elsewhere one line a step when it is done. Colours unless `NO_COLOR` is set. */
export function checklistOn(output: Output, env: NodeJS.ProcessEnv): Checklist {
  const animated = output.isTTY === true && env["TERM"] !== "dumb";
  const paint = animated && (env["NO_COLOR"] ?? "") === "" ? colours : plain;
  return animated ? animatedChecklist(output, paint) : plainChecklist(output);
}

/** Shows nothing. */
export const silentChecklist: Checklist = {
  step: (_label, work) => work(() => undefined),
  line: () => undefined,
};

function plainChecklist(output: Output): Checklist {
  const errors = new Set<unknown>();
  const line = (text: string) => void output.write(`${text}\n`);
  return {
    line,
    async step(label, work) {
      const step: Step = { label, startedMs: Date.now(), note: "" };
      const announce = () => {
        line(`… ${textOf(step)}  ${seconds(step)}`);
        timer = setTimeout(announce, announceMs.later);
      };
      let timer = setTimeout(announce, announceMs.first);
      const close = (mark: Mark) => {
        clearTimeout(timer);
        line(`${mark} ${textOf(step)}  ${seconds(step)}`);
      };
      return finish(step, work, close, errors);
    },
  };
}

function animatedChecklist(output: Output, paint: Paint): Checklist {
  const errors = new Set<unknown>();
  const active: Step[] = [];
  let shown = 0;
  let frame = 0;
  let timer: NodeJS.Timeout | undefined;

  const redraw = (above = "") => {
    const back = shown === 0 ? "" : `\x1b[${shown}A\x1b[J`;
    const mark = frames[frame % frames.length] ?? "";
    const rows = active.map((step) => `${mark} ${fit(`${textOf(step)}  ${seconds(step)}`)}\n`);
    output.write(back + above + rows.join(""));
    shown = active.length;
  };
  const fit = (text: string) => text.slice(0, Math.max(20, (output.columns ?? 80) - 3));
  const tick = () => {
    frame += 1;
    redraw();
  };

  return {
    line: (text) => {
      redraw(`${text}\n`);
    },
    async step(label, work) {
      const step: Step = { label, startedMs: Date.now(), note: "" };
      active.push(step);
      timer ??= setInterval(tick, frameMs);
      redraw();
      const close = (mark: Mark) => {
        active.splice(active.indexOf(step), 1);
        if (active.length === 0) {
          clearInterval(timer);
          timer = undefined;
        }
        redraw(`${paint[colourOf[mark]](mark)} ${textOf(step)}  ${paint.dim(seconds(step))}\n`);
      };
      return finish(step, work, close, errors);
    },
  };
}

async function finish<T>(
  step: Step,
  work: (say: (note: string) => void) => Promise<T>,
  close: (mark: Mark) => void,
  shown: Set<unknown>,
): Promise<T> {
  try {
    const result = await work((note) => (step.note = note));
    close("✓");
    return result;
  } catch (error) {
    close(shown.has(error) ? "–" : "✗");
    shown.add(error);
    throw error;
  }
}

function textOf({ label, note }: Step): string {
  return note === "" ? label : `${label}  ${note}`;
}

function seconds({ startedMs }: Step): string {
  return `${((Date.now() - startedMs) / 1000).toFixed(1)} s`;
}

type Paint = Readonly<Record<"green" | "red" | "dim", (text: string) => string>>;

const colourOf = { "✓": "green", "✗": "red", "–": "dim" } as const;

const colours: Paint = {
  green: (text) => `\x1b[32m${text}\x1b[39m`,
  red: (text) => `\x1b[31m${text}\x1b[39m`,
  dim: (text) => `\x1b[2m${text}\x1b[22m`,
};

const plain: Paint = { green: String, red: String, dim: String };

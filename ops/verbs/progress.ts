import { clearLine, cursorTo } from "node:readline";
import { widthOf } from "./table.ts";

/** One line on a terminal that says how far something is; elsewhere nothing. */
export interface Progress {
  /** Writes a line above it, to stderr. */
  say(text: string): void;
  /** Takes it away. */
  end(): void;
}

const redrawMs = 100;

/** Draws what `line` returns, ten times a second, until `end`. */
export function startProgress(line: () => string): Progress {
  const { stderr } = process;
  const isShown = stderr.isTTY && process.env["TERM"] !== "dumb";
  if (!isShown) return { say: (text) => stderr.write(`${text}\n`), end: () => undefined };
  const clear = () => {
    cursorTo(stderr, 0);
    clearLine(stderr, 0);
  };
  const draw = () => {
    clear();
    stderr.write(cut(line(), (stderr.columns || 80) - 1)); // A terminal may not know its width.
  };
  draw();
  const timer = setInterval(draw, redrawMs);
  timer.unref();
  return {
    say(text) {
      clear();
      stderr.write(`${text}\n`);
      draw();
    },
    end() {
      clearInterval(timer);
      clear();
    },
  };
}

function cut(text: string, width: number): string {
  return widthOf(text) <= width ? text : text.slice(0, Math.max(0, width));
}

const barWidth = 24;

/** `[########------------] 41 %`; `share` is from 0 to 1. */
export function bar(share: number): string {
  const part = Math.min(1, Math.max(0, share));
  const full = Math.round(part * barWidth);
  const percent = String(Math.floor(part * 100)).padStart(3);
  return `[${"#".repeat(full)}${"-".repeat(barWidth - full)}] ${percent} %`;
}

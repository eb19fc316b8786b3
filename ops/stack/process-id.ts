import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** One process for good: its pid may be given to another one later, but never with the same start. */
export interface ProcessId {
  readonly pid: number;
  /** When it started, in the system's own words; only to be compared. */
  readonly startedAt: string;
}

/** Who has this pid now; undefined where nobody has. A zombie has ended and counts as nobody. */
export function processWith(pid: number): ProcessId | undefined {
  const startedAt = process.platform === "linux" ? startByProc(pid) : startByPs(pid);
  return startedAt === undefined ? undefined : { pid, startedAt };
}

export function isRunning({ pid, startedAt }: ProcessId): boolean {
  return processWith(pid)?.startedAt === startedAt;
}

/** The command line of a process as it is now; empty where it is not known. */
export function commandOf(pid: number): string {
  try {
    if (process.platform === "linux") {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
    }
    return execFileSync("ps", ["-ww", "-o", "command=", "-p", String(pid)], { encoding: "utf8" });
  } catch {
    return ""; // It ended, or is not for us to see.
  }
}

/** This process. */
export function ownProcess(): ProcessId {
  return processWith(process.pid) ?? { pid: process.pid, startedAt: "unknown" };
}

/** Fields 3 (state) and 22 (start, in ticks since boot) of proc_pid_stat(5), and the boot they count from. */
function startByProc(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The command's name, field 2, may hold spaces and brackets of its own.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z" || fields[0] === "X") return undefined;
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return `${boot}/${String(fields[19])}`;
  } catch {
    return undefined; // No such process.
  }
}

function startByPs(pid: number): string | undefined {
  try {
    const options = { encoding: "utf8", env: { ...process.env, LC_ALL: "C" } } as const;
    const [state = "Z", ...start] = execFileSync(
      "ps",
      ["-o", "stat=,lstart=", "-p", String(pid)],
      options,
    )
      .trim()
      .split(/\s+/);
    return state.startsWith("Z") ? undefined : start.join(" ");
  } catch {
    return undefined; // ps exits 1 where there is no such process.
  }
}

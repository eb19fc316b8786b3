import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { commandOf } from "./process-id.ts";

/** Who listens on a port, as well as it can be told, and whether it belongs to the stack in `dir`. */
export function portHolder(port: number, dir: string): string {
  const pid = listenerOn(port);
  if (pid === undefined) return "a process that is not yours to see";
  const command = commandOf(pid);
  // The program is at the beginning, and what it is to run often at the end.
  const shown = command.length > 90 ? `${command.slice(0, 45)} … ${command.slice(-40)}` : command;
  const leftover = command.includes(dir) ? ", a leftover of this very folder" : "";
  return `pid ${pid} (${shown}${leftover})`;
}

/** By Linux's /proc alone, since neither ss nor lsof is everywhere; undefined on other systems. */
function listenerOn(port: number): number | undefined {
  const inodes = new Set(["tcp", "tcp6"].flatMap((table) => listeningInodes(table, port)));
  if (inodes.size === 0) return undefined;
  return entries("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .find((pid) => entries(`/proc/${pid}/fd`).some((fd) => inodes.has(inodeOf(pid, fd))));
}

function listeningInodes(table: string, port: number): readonly string[] {
  const hexPort = port.toString(16).toUpperCase().padStart(4, "0");
  return lines(`/proc/net/${table}`).flatMap((line) => {
    const fields = line.trim().split(/\s+/); // sl, local, remote, state, …; the tenth is the inode.
    const listens = fields[3] === "0A" && fields[1]?.endsWith(`:${hexPort}`) === true;
    return listens ? [fields[9] ?? ""] : [];
  });
}

function inodeOf(pid: number, fd: string): string {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? "none";
  } catch {
    return "none"; // Closed in the meantime.
  }
}

function lines(file: string): readonly string[] {
  try {
    return readFileSync(file, "utf8").split("\n");
  } catch {
    return []; // Not Linux.
  }
}

function entries(dir: string): readonly string[] {
  try {
    return readdirSync(dir);
  } catch {
    return []; // Another user's process, or ended.
  }
}

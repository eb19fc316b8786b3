import { closeSync, constants, mkdirSync, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { messageOf, TransientError } from "../errors.ts";

/**
 * A few bytes that outlive the process, though not a power cut: what is written is in the kernel's hands at
 * once, and nobody waits for the disk.
 */
export interface Note {
  /** What was last written, by this process or by one before it; empty where nothing was. */
  read(): string;
  /** Replaces the note, at the cost of one system call. @throws TransientError where the disk refuses */
  write(text: string): void;
  close(): void;
}

/** Opens the note of one worker and partition. */
export type OpenNote = (name: string) => Note;

/** A file is always so long, so that no note leaves the end of a longer one behind it. */
const noteBytes = 512;

/** Notes in files below `folder`, beside the local stores. @throws TransientError where the disk refuses */
export function fileNotes(folder: string): OpenNote {
  return (name) => {
    const directory = join(folder, name);
    const file = join(directory, "attempt.json");
    const onDisk = <T>(work: () => T): T => {
      try {
        return work();
      } catch (error) {
        const what = `The note ${file} cannot be used: ${messageOf(error)}. Check the disk and its rights`;
        throw new TransientError(what, { cause: error });
      }
    };
    const descriptor = onDisk(() => {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      return openSync(file, constants.O_RDWR | constants.O_CREAT, 0o600);
    });
    const bytes = Buffer.alloc(noteBytes);
    return {
      read: () =>
        onDisk(() => {
          const length = readSync(descriptor, bytes, 0, noteBytes, 0);
          return bytes.toString("utf8", 0, length).trim();
        }),
      write: (text) => {
        bytes.fill(" ");
        bytes.write(`${text}\n`);
        onDisk(() => writeSync(descriptor, bytes, 0, noteBytes, 0));
      },
      close: () => {
        closeSync(descriptor);
      },
    };
  };
}

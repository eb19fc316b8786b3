import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { messageOf, TransientError, WriterLostError } from "../errors.ts";
import type { OpenStore, Store } from "./store.ts";

/**
 * Stores in SQLite, one file a worker and partition below `folder`. A kill -9 of the process costs nothing
 * that was written; a crash of the machine may cost the last writes, never the file (WAL). A file that is
 * found damaged is deleted, and the partition folds the log anew. So it does where another process has the file,
 * one that was stopped in the middle of a write and may have it for ever: then this run has a file of its own.
 */
export function sqliteStores(folder: string): OpenStore {
  return async (name) => {
    const directory = join(folder, name);
    const file = join(directory, "store.db");
    const remove = () => {
      for (const suffix of ["", "-wal", "-shm"]) rmSync(file + suffix, { force: true });
    };
    try {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      try {
        return new SqliteStore(file, remove);
      } catch (error) {
        if (resultOf(error) === busy) return new SqliteStore(temporary, () => undefined);
        if (!isDamage(error)) throw error;
        remove();
        return new SqliteStore(file, remove);
      }
    } catch (error) {
      throw unusable(file, error);
    }
  };
}

/** By this name SQLite makes a file that nobody else can open, and that is gone with its process, however that ends. */
const temporary = "";

/**
 * Another worker may have the file for the moment of a write. Who waits longer stands still with all that its
 * process does, heartbeats and the API included, for SQLite waits in the thread.
 */
const busyMs = 100;

/** Whether the file can be written is found out at once, while there is still a choice: another store may be taken. */
const table = `
  pragma journal_mode = wal;
  pragma synchronous = normal;
  begin immediate;
  create table if not exists entries (key blob primary key, value blob not null) without rowid;
  commit`;

const checkpointKey = Buffer.from("!checkpoint");
/** Sorts after every byte that a UTF-8 text can have. */
const afterAll = Buffer.from([0xff]);
/** Makes the next key there can be. */
const firstOfAll = Buffer.from([0]);
/** Most who list want the first few; who wants more wants many. */
const portions = { first: 4, next: 200 } as const;

class SqliteStore implements Store {
  private readonly file: string;
  private readonly remove: () => void;
  private readonly database: DatabaseSync;
  private readonly select: StatementSync;
  private readonly selectRange: StatementSync;
  private readonly upsert: StatementSync;
  private readonly erase: StatementSync;

  constructor(file: string, remove: () => void) {
    this.file = file;
    this.remove = remove;
    this.database = new DatabaseSync(file, { timeout: busyMs });
    try {
      this.database.exec(table);
      this.select = this.database.prepare("select value from entries where key = ?");
      this.selectRange = this.database.prepare(
        "select key, value from entries where key >= ? and key < ? order by key limit ?",
      );
      this.upsert = this.database.prepare(
        "insert into entries values (?, ?) on conflict (key) do update set value = excluded.value",
      );
      this.erase = this.database.prepare("delete from entries where key = ?");
    } catch (error) {
      this.database.close();
      throw error;
    }
  }

  checkpoint(): Buffer | null {
    return this.guarded(() => this.read(checkpointKey));
  }

  get(key: string): Buffer | null {
    return this.guarded(() => this.read(Buffer.from(key, "utf8")));
  }

  /** In portions, so that no statement stays open between two entries. */
  *range(prefix: string, from: string): Generator<readonly [string, Buffer]> {
    const end = Buffer.concat([Buffer.from(prefix, "utf8"), afterAll]);
    let portion: number = portions.first;
    for (let start = Buffer.from(from, "utf8"); ;) {
      const rows = this.guarded(() => this.selectRange.all(start, end, portion));
      for (const row of rows) {
        start = bufferOf(row["key"]);
        yield [start.toString("utf8"), bufferOf(row["value"])];
      }
      if (rows.length < portion) return;
      portion = portions.next;
      start = Buffer.concat([start, firstOfAll]);
    }
  }

  replace(
    expected: Buffer | null,
    next: Buffer,
    changes: ReadonlyMap<string, Buffer | null>,
  ): boolean {
    return this.exchange(expected, next, () => {
      for (const [key, value] of changes) {
        const name = Buffer.from(key, "utf8");
        if (value === null) this.erase.run(name);
        else this.upsert.run(name, value);
      }
    });
  }

  empty(expected: Buffer | null, next: Buffer): boolean {
    return this.exchange(expected, next, () => {
      this.database.exec("delete from entries");
    });
  }

  async close(): Promise<void> {
    if (this.database.isOpen) this.database.close();
  }

  private exchange(expected: Buffer | null, next: Buffer, change: () => void): boolean {
    return this.guarded(() => {
      this.database.exec("begin immediate");
      try {
        const stored = this.read(checkpointKey);
        const same = expected === null ? stored === null : stored?.equals(expected) === true;
        if (same) {
          change();
          this.upsert.run(checkpointKey, next);
        }
        this.database.exec("commit");
        return same;
      } catch (error) {
        if (this.database.isTransaction) this.database.exec("rollback");
        throw error;
      }
    });
  }

  private read(key: Buffer): Buffer | null {
    const row = this.select.get(key);
    return row === undefined ? null : bufferOf(row["value"]);
  }

  private guarded<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw this.failure(error);
    }
  }

  private failure(error: unknown): Error {
    if (!isDamage(error)) return unusable(this.file, error);
    this.database.close();
    this.remove();
    const what = `The local store ${nameOf(this.file)} was damaged and is deleted: ${messageOf(error)}`;
    return new WriterLostError("indefinite", what, { cause: error });
  }
}

/** A file that one process at a time has, with a name that stands in it. */
export interface Claim {
  readonly name: string;
  release(): void;
}

/**
 * Claims a file until `release`, or until this process is no more, however it ends: the lock is the kernel's.
 * The first to claim it gives it its name. `null` where another process has it, and still has it `withinMs` later.
 * @throws Error where the file cannot be used
 */
export function claimFile(file: string, newName: () => string, withinMs = 0): Claim | null {
  const database = new DatabaseSync(file, { timeout: withinMs });
  try {
    // In this mode the lock of the transaction outlives its commit.
    database.exec("pragma locking_mode = exclusive; begin exclusive");
    database.exec("create table if not exists claim (name text not null)");
    const row = database.prepare("select name from claim").get();
    const name = row === undefined ? newName() : String(row["name"]);
    if (row === undefined) database.prepare("insert into claim values (?)").run(name);
    database.exec("commit");
    return {
      name,
      release: () => {
        database.close();
      },
    };
  } catch (error) {
    database.close();
    if (resultOf(error) === busy) return null;
    throw error;
  }
}

function bufferOf(value: unknown): Buffer<ArrayBuffer> {
  const bytes = value as Uint8Array<ArrayBuffer>;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** SQLITE_BUSY, SQLITE_CORRUPT and SQLITE_NOTADB. */
const busy = 5;
const damaged = [11, 26];

function isDamage(error: unknown): boolean {
  return damaged.includes(resultOf(error) ?? 0);
}

/** SQLite's result code, the low byte of the extended one; `null` where it is none. */
function resultOf(error: unknown): number | null {
  const { errcode } = error as { errcode?: unknown };
  return typeof errcode === "number" ? errcode & 0xff : null;
}

function nameOf(file: string): string {
  return file === temporary ? "(a temporary file)" : file;
}

function unusable(file: string, error: unknown): Error {
  if (error instanceof WriterLostError) return error;
  const what = `The local store ${nameOf(file)} cannot be used: ${messageOf(error)}. Check the disk and its rights`;
  return new TransientError(what, { cause: error });
}

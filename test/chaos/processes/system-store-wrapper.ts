import * as real from "../../../engine/commands/sqlite-store.ts";
import type { OpenStore, Store } from "../../../engine/commands/store.ts";
import { comeTo, watchFailpoints } from "./system-failpoint.ts";

/** `engine/commands/sqlite-store.ts`, with the failpoints `before:store` and `after:store`. */
export * from "../../../engine/commands/sqlite-store.ts";

export function sqliteStores(folder: string): OpenStore {
  watchFailpoints(folder);
  const open = real.sqliteStores(folder);
  return async (name) => {
    const store = await open(name);
    return new Proxy(store, {
      get: (target, property) => {
        if (property === "replace") return replaceIn(target);
        const member: unknown = Reflect.get(target, property, target);
        return typeof member === "function" ? (member.bind(target) as unknown) : member;
      },
    });
  };
}

function replaceIn(store: Store): Store["replace"] {
  return (...change) => {
    comeTo("before:store");
    const replaced = store.replace(...change);
    comeTo("after:store");
    return replaced;
  };
}

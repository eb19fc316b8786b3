import { registerHooks } from "node:module";

/**
 * Loaded before a worker's program: puts failpoints around its local store and its restore, without a switch in
 * the engine. Whoever imports one of these two modules gets the wrapper beside this file, which alone gets the real
 * one.
 */
const wrappers: Readonly<Record<string, string>> = {
  "engine/commands/sqlite-store.ts": "system-store-wrapper.ts",
  "engine/commands/restore.ts": "system-restore-wrapper.ts",
};
const root = new URL("../../../", import.meta.url).href;

registerHooks({
  resolve(specifier, context, next) {
    const resolved = next(specifier, context);
    const wrapper = wrappers[resolved.url.slice(root.length)];
    if (wrapper === undefined) return resolved;
    const url = new URL(wrapper, import.meta.url).href;
    return context.parentURL === url ? resolved : { ...resolved, url };
  },
});

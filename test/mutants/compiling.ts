import { readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { mutated, type Mutant } from "./mutant.ts";

/** What a compiler that lets unused and unreachable code pass says of each mutant: a bug compiles. */

const root = join(import.meta.dirname, "../..");

/** @returns the faults, each with its mutant's name; none where every mutant fits and could have been written */
export function compileFaults(mutants: readonly Mutant[]): readonly string[] {
  const sources = new Map<string, { text: string; version: number }>();
  const service = serviceOver(
    [...new Set(mutants.map(({ file }) => join(root, file)))],
    (file) => sources.get(file) ?? null,
  );
  return mutants.flatMap((mutant) => {
    const file = join(root, mutant.file);
    const original = readFileSync(file, "utf8");
    const version = (sources.get(file)?.version ?? 0) + 1;
    const text = mutatedOr(mutant, original);
    if (text instanceof Error) return [text.message];
    sources.set(file, { text, version });
    const found = [
      ...service.getSyntacticDiagnostics(file),
      ...service.getSemanticDiagnostics(file),
    ];
    sources.set(file, { text: original, version: version + 1 });
    return found.map(
      ({ messageText }) => `${mutant.name}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`,
    );
  });
}

function mutatedOr(mutant: Mutant, original: string): string | Error {
  try {
    return mutated(mutant, original);
  } catch (error) {
    return error as Error;
  }
}

function serviceOver(
  files: readonly string[],
  changed: (file: string) => { readonly text: string; readonly version: number } | null,
): ts.LanguageService {
  const read = ts.readConfigFile(join(root, "tsconfig.json"), (file) => ts.sys.readFile(file));
  const { options } = ts.parseJsonConfigFileContent(read.config, ts.sys, root);
  return ts.createLanguageService({
    getCompilationSettings: () => ({
      ...options,
      noUnusedLocals: false,
      noUnusedParameters: false,
      allowUnreachableCode: true,
    }),
    getScriptFileNames: () => [...files],
    getScriptVersion: (file) => String(changed(file)?.version ?? 0),
    getScriptSnapshot: (file) => {
      const text = changed(file)?.text ?? ts.sys.readFile(file);
      return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text);
    },
    getCurrentDirectory: () => root,
    getDefaultLibFileName: (of) => ts.getDefaultLibFilePath(of),
    fileExists: (file) => ts.sys.fileExists(file),
    readFile: (file) => ts.sys.readFile(file),
    readDirectory: (...of) => ts.sys.readDirectory(...of),
    directoryExists: (folder) => ts.sys.directoryExists(folder),
    getDirectories: (folder) => ts.sys.getDirectories(folder),
  });
}

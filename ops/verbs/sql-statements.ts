/** Splits SQL text at its semicolons, as Postgres's own psql does. Pure. */

export interface SplitSql {
  /** Whole statements, without their semicolon; empty ones left out. */
  readonly statements: readonly string[];
  /** What follows the last semicolon: the beginning of another statement, or empty. */
  readonly rest: string;
}

/**
 * A semicolon ends a statement unless it stands in a string, a quoted name, a comment or a dollar-quoted
 * body, which go on over line ends.
 */
export function splitSql(text: string): SplitSql {
  const statements: string[] = [];
  let from = 0;
  let at = 0;
  while (at < text.length) {
    if (text[at] === ";") {
      const statement = text.slice(from, at).trim();
      if (!isEmptySql(statement)) statements.push(statement);
      at += 1;
      from = at;
      continue;
    }
    at = endOfToken(text, at);
  }
  const rest = text.slice(from).trim();
  return { statements, rest: isOpen(rest) || !isEmptySql(rest) ? rest : "" };
}

/** Nothing but space and comments. */
export function isEmptySql(text: string): boolean {
  return firstWord(text) === null && skipSpace(text, 0) >= text.length;
}

/** The first word in lower case, after comments and opening parentheses; `null` where there is none. */
export function firstWord(text: string): string | null {
  let at = skipSpace(text, 0);
  while (text[at] === "(") at = skipSpace(text, at + 1);
  return /^[a-z_]+/i.exec(text.slice(at, at + 64))?.[0].toLowerCase() ?? null;
}

/** Whether the text breaks off within a comment: then it is not empty, only unfinished. */
function isOpen(text: string): boolean {
  const at = text.indexOf("/*");
  return at >= 0 && endOfBlockComment(text, at) > text.length;
}

function skipSpace(text: string, from: number): number {
  let at = from;
  for (;;) {
    if (/\s/.test(text[at] ?? "")) at += 1;
    else if (text.startsWith("--", at)) at = endOfLine(text, at);
    else if (text.startsWith("/*", at)) at = endOfBlockComment(text, at);
    else return at;
  }
}

/** The index after the token at `at`; beyond the end where it is not complete. */
function endOfToken(text: string, at: number): number {
  const char = text[at] ?? "";
  if (char === "'") return endOfQuoted(text, at, { quote: "'", escapes: isEscapeString(text, at) });
  if (char === '"') return endOfQuoted(text, at, { quote: '"', escapes: false });
  if (text.startsWith("--", at)) return endOfLine(text, at);
  if (text.startsWith("/*", at)) return endOfBlockComment(text, at);
  if (char === "$") return endOfDollarQuoted(text, at);
  const word = /^[\p{L}_][\p{L}\p{N}_$]*/u.exec(text.slice(at, at + 256));
  return at + Math.max(1, word?.[0].length ?? 1);
}

/** An `E'…'` takes backslashes. */
function isEscapeString(text: string, at: number): boolean {
  return /(^|[^\p{L}\p{N}_$])[eE]$/u.test(text.slice(Math.max(0, at - 2), at));
}

function endOfQuoted(
  text: string,
  start: number,
  { quote, escapes }: { readonly quote: string; readonly escapes: boolean },
): number {
  for (let at = start + 1; at < text.length; at++) {
    if (escapes && text[at] === "\\") at += 1;
    else if (text[at] === quote) {
      if (text[at + 1] !== quote) return at + 1;
      at += 1; // Doubled: the quote itself.
    }
  }
  return text.length + 1;
}

function endOfLine(text: string, at: number): number {
  const end = text.indexOf("\n", at);
  return end < 0 ? text.length : end + 1;
}

/** Comments nest. */
function endOfBlockComment(text: string, start: number): number {
  const marks = /\/\*|\*\//g;
  marks.lastIndex = start;
  let depth = 0;
  for (let mark = marks.exec(text); mark !== null; mark = marks.exec(text)) {
    depth += mark[0] === "/*" ? 1 : -1;
    if (depth === 0) return marks.lastIndex;
  }
  return text.length + 1;
}

function endOfDollarQuoted(text: string, at: number): number {
  const tag = /^\$(?:[\p{L}_][\p{L}\p{N}_]*)?\$/u.exec(text.slice(at, at + 130))?.[0];
  if (tag === undefined) return at + 1;
  const end = text.indexOf(tag, at + tag.length);
  return end < 0 ? text.length + 1 : end + tag.length;
}

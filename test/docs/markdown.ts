/** What a page of documentation claims about the repository: files, functions, tests, excerpts. Pure. */

export interface Page {
  /** From the root of the repository. */
  readonly file: string;
  readonly text: string;
}

/** A run of text that belongs together: a paragraph, an item of a list, a row of a table, a heading. */
export interface Block {
  readonly line: number;
  readonly text: string;
}

export interface Fence {
  readonly line: number;
  readonly language: string;
  /** The file that a comment `<!-- from <file> -->` right before the fence names. */
  readonly from: string | null;
  readonly text: string;
}

/** The blocks of a page and its fenced code, apart. */
export function readPage({ text }: Page): { readonly blocks: Block[]; readonly fences: Fence[] } {
  const blocks: Block[] = [];
  const fences: Fence[] = [];
  let open: { line: number; language: string; from: string | null; lines: string[] } | null = null;
  let from: string | null = null;
  let startsAnew = true;
  text.split("\n").forEach((line, i) => {
    const fence = /^\s*```(\w*)/.exec(line);
    if (open) {
      if (fence) {
        const { lines, ...rest } = open;
        fences.push({ ...rest, text: lines.join("\n") });
        open = null;
      } else open.lines.push(line);
      return;
    }
    if (fence) {
      open = { line: i + 1, language: fence[1] ?? "", from, lines: [] };
      startsAnew = true;
      return;
    }
    if (line.trim() === "") {
      startsAnew = true;
      return;
    }
    from = /^<!-- from (\S+) -->$/.exec(line)?.[1] ?? null;
    const begins = startsAnew || /^\s*([-*|#]|\d+\.)(\s|\|)/.test(line);
    const last = blocks.at(-1);
    if (begins || !last) blocks.push({ line: i + 1, text: line });
    else blocks[blocks.length - 1] = { ...last, text: `${last.text} ${line.trim()}` };
    startsAnew = false;
  });
  return { blocks, fences };
}

/** What stands in a block in the order in which it stands: code, and what is said in quotes. */
export type Mention =
  | { readonly kind: "code"; readonly text: string }
  | { readonly kind: "quote"; readonly text: string };

export function mentionsIn(text: string): readonly Mention[] {
  return [...text.matchAll(/`([^`]+)`|"([^"]+)"/g)].map(([, code, quote]) =>
    code !== undefined ? { kind: "code", text: code } : { kind: "quote", text: quote ?? "" },
  );
}

/** The files in backticks: with a folder that the repository has, or an ending that a file has. */
export function isFile(code: string): boolean {
  return /^[\w.][\w.-]*(\/[\w.-]+)*\.(ts|mjs|md|avsc|sql|json|yml|ndjson|csv|xml|js)$/.test(code);
}

/** `name()` or `Owner.name()` → its parts; `null` for other code. */
export function functionNamed(code: string): readonly string[] | null {
  return /^([A-Za-z]\w*\.)?[a-z]\w*\(\)$/.test(code) ? code.slice(0, -2).split(".") : null;
}

/** Whether a source declares this name: a function, a class, a constant, or a method. */
export function declares(source: string, name: string): boolean {
  const declaration = `(function\\*?|class|const|interface|type) ${name}\\b`;
  const modifiers = "((private|static|async|override|get) )*";
  const method = `^ +${modifiers}\\*?${name}(<[^(]*>)?\\(`;
  return new RegExp(`${declaration}|${method}|^ +${name}: `, "m").test(source);
}

/** Whether a source has a test or a group of this name; a seed in brackets may follow the name. */
export function hasTest(source: string, name: string): boolean {
  const escaped = name.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`(["\`])${escaped}( \\(SEED=[^"\`]*\\))?\\1`).test(source);
}

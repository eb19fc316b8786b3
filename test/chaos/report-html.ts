/** Markup that is safe by how it is made: whatever is put into `html` is text, unless `html` made it. */

export class Markup {
  readonly source: string;
  constructor(source: string) {
    this.source = source;
  }
}

type Part = string | number | Markup | null | readonly Part[];

/**
 * HTML or SVG with text and attributes put in (these in double quotes). Numbers are written as JSON has them,
 * lists one after the other, `null` as nothing.
 */
export function html(literals: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  const source = literals.map((literal, i) => literal + sourceOf(parts[i] ?? null));
  return new Markup(source.join(""));
}

function sourceOf(part: Part): string {
  if (part === null) return "";
  if (part instanceof Markup) return part.source;
  if (typeof part === "string") return escaped(part);
  if (typeof part === "number") return String(part);
  return part.map(sourceOf).join("");
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};
/** Control characters, which HTML forbids, and marks that turn the direction of what stands around them. */
const unseen = /(?![\n\t])[\p{Cc}\p{Cs}\u200E\u200F\u2028-\u202E\u2066-\u2069]/gu;

function escaped(text: string): string {
  return text
    .replaceAll(/[&<>"']/g, (it) => entities[it] ?? it)
    .replaceAll(unseen, (it) => `\\u{${(it.codePointAt(0) ?? 0).toString(16)}}`);
}

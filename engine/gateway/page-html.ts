import { createHash } from "node:crypto";

/** Pages for people: text becomes HTML in one way only, escaped. No script runs on them. */

/** HTML that may stand in a page as it is. Made by `html` alone. */
export interface Html {
  readonly html: string;
}

type Part = string | number | Html | readonly Part[];

/** A template whose values are text, unless they are HTML already. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  const made = strings.map((fixed, i) => outdented(fixed) + htmlOf(parts[i] ?? ""));
  return { html: made.join("") };
}

/** The indentation of a source file is nothing to a reader of the page. */
function outdented(fixed: string): string {
  return fixed.replaceAll(/\n\s*/g, "\n");
}

function htmlOf(part: Part): string {
  if (typeof part === "object") return "html" in part ? part.html : part.map(htmlOf).join("");
  return String(part).replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** Text in which `…` is code. */
export function prose(text: string): Html {
  const parts = text.split("`");
  return html`${parts.map((part, i) => (i % 2 === 0 ? part : html`<code>${part}</code>`))}`;
}

/** A whole page, to be sent with `pagePolicy`. */
export function page(title: string, body: Html): string {
  const { html: text } = html`<html lang="en">
    <head>
      <meta charset="utf-8" />
      <meta name="viewport" content="width=device-width, initial-scale=1" />
      <meta name="color-scheme" content="light dark" />
      <title>${title}</title>
      ${{ html: `<style>${style}</style>` }}
    </head>
    <body>
      ${body}
    </body>
  </html> `;
  return `<!doctype html>\n${text}`;
}

const style = `
:root {
  color-scheme: light dark;
  --ink: light-dark(#1d2328, #dde3e8);
  --quiet: light-dark(#59646d, #97a3ad);
  --ground: light-dark(#ffffff, #14181b);
  --raised: light-dark(#f4f6f7, #1d2327);
  --line: light-dark(#d9dfe3, #333c43);
  --link: light-dark(#0b5cad, #7db7f0);
  --post: light-dark(#0a6b45, #5fd0a0);
  --get: light-dark(#0b5cad, #7db7f0);
}
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif;
}
.columns { display: grid; grid-template-columns: 19rem minmax(0, 1fr); }
nav {
  position: sticky; top: 0; height: 100vh; overflow-y: auto; padding: 1.5rem 1.25rem;
  background: var(--raised); border-right: 1px solid var(--line); font-size: .875rem;
}
nav h2 { margin: 1.25rem 0 .25rem; font-size: .75rem; color: var(--quiet); }
nav ul { list-style: none; margin: 0; padding: 0; }
nav a { display: block; padding: .15rem 0; overflow-wrap: anywhere; }
main { max-width: 58rem; padding: 2rem 2.5rem 6rem; }
main.single { max-width: 44rem; margin: 0 auto; }
a { color: var(--link); text-decoration: none; }
a:hover, a:focus-visible { text-decoration: underline; }
h1 { margin: 0 0 .25rem; font-size: 1.75rem; line-height: 1.2; }
h2 { margin: 3rem 0 .5rem; font-size: 1.35rem; }
h2::first-letter { text-transform: uppercase; }
h3 { margin: 0 0 .25rem; font-size: 1.05rem; overflow-wrap: anywhere; }
h4 { margin: 1.25rem 0 .35rem; font-size: .8rem; color: var(--quiet); }
p { margin: .5rem 0; }
.quiet { color: var(--quiet); }
.operation { margin: 1.25rem 0; padding: 1.25rem; border: 1px solid var(--line); border-radius: .5rem; }
.method { font: 700 .8rem ui-monospace, "DejaVu Sans Mono", monospace; text-transform: uppercase; }
.post { color: var(--post); }
.get { color: var(--get); }
code, pre { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: .85em; }
p code, li code, td code { padding: .1em .3em; border-radius: .25rem; background: var(--raised); }
pre {
  margin: .5rem 0; padding: .75rem 1rem; overflow-x: auto; border-radius: .375rem;
  background: var(--raised); border: 1px solid var(--line); user-select: all;
}
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: .9rem; }
td { padding: .4rem .75rem .4rem 0; border-top: 1px solid var(--line); vertical-align: top; }
td:first-child { width: 34%; overflow-wrap: anywhere; }
td:nth-child(2) { width: 24%; color: var(--quiet); }
.answers > tbody > tr > td:first-child { width: 3.5rem; font-weight: 600; }
.answers > tbody > tr > td:nth-child(2) { width: auto; color: inherit; }
details { margin: .35rem 0; }
summary { cursor: pointer; color: var(--link); font-size: .9rem; }
ul.plain { list-style: none; margin: 0; padding: 0; }
@media (max-width: 56rem) {
  .columns { display: block; }
  nav { position: static; height: auto; border-right: 0; border-bottom: 1px solid var(--line); }
  main { padding: 1.25rem 1rem 4rem; }
}
@media print {
  nav { display: none; }
  .columns { display: block; }
}
`;

/** The header `Content-Security-Policy` of every page: its own style, and nothing else from anywhere. */
export const pagePolicy =
  `default-src 'none'; style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'; ` +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

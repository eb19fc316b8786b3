import type { JsonSchema } from "./json-schema.ts";
import { problemSlug } from "./openapi-problems.ts";
import { html, type Html, page, prose } from "./page-html.ts";
import {
  asList,
  asObject,
  asText,
  fieldsTable,
  type Resolve,
  resolverOf,
  typeOf,
} from "./page-schemas.ts";
import { problemHelp } from "./problem-help.ts";
import { type ProblemCode, problemTable } from "./problem.ts";

/** The pages of the gateway, for people. Each is one file: no script, no picture, nothing from elsewhere. */

const codes = Object.keys(problemTable) as readonly ProblemCode[];

interface Operation {
  readonly path: string;
  readonly method: string;
  readonly operation: JsonSchema;
}

/** An OpenAPI document as a page: routes, fields, answers, and curl lines to copy. */
export function referencePage(document: object): string {
  const { info, tags, paths } = document as JsonSchema;
  const { title, version, description } = asObject(info);
  const resolve = resolverOf(document);
  const operations = Object.entries(asObject(paths)).flatMap(([path, methods]) =>
    Object.entries(asObject(methods)).map(([method, operation]): Operation => ({
      path,
      method,
      operation: asObject(operation),
    })),
  );
  const groups = asList(tags).map((tag) => {
    const name = asText(asObject(tag)["name"]);
    const own = operations.filter(({ operation }) => asList(operation["tags"]).includes(name));
    return { name, description: asText(asObject(tag)["description"]), operations: own };
  });
  const body = html`<div class="columns">
    <nav aria-label="Contents">
      <strong>${asText(title)}</strong>
      ${groups.map(
        ({ name, operations: own }) =>
          html`<h2>${name}</h2>
            <ul>
              ${own.map(link)}
            </ul>`,
      )}
      <h2>problems</h2>
      <ul>
        <li><a href="#problems">All kinds</a></li>
      </ul>
    </nav>
    <main>
      <h1>${asText(title)}</h1>
      <p class="quiet">
        Version ${asText(version)}. The same for programs:
        <a href="/openapi.json">/openapi.json</a>, OpenAPI 3.1.
      </p>
      ${asText(description)
        .split("\n\n")
        .map((text) => html`<p>${prose(text)}</p>`)}
      <p>
        The lines to try take this server's address from <code>FOLDLOG_API_URL</code>. A click
        selects a line as a whole.
      </p>
      <pre>export FOLDLOG_API_URL=http://127.0.0.1:8080</pre>
      ${groups.map(
        (group) =>
          html`<h2 id="${group.name}">${group.name}</h2>
            <p>${prose(group.description)}</p>
            ${group.operations.map((it) => operationHtml(it, resolve))}`,
      )}
      <h2 id="problems">problems</h2>
      <p>Each refusal has one of these codes; its page says what it means and what to do.</p>
      <div class="scroll">
        <table class="answers">
          ${codes.map(
            (code) =>
              html`<tr>
                <td>${problemTable[code].status}</td>
                <td>${problemLink(code)}</td>
              </tr>`,
          )}
        </table>
      </div>
    </main>
  </div>`;
  return page(asText(title), body);
}

function link({ path, method, operation }: Operation): Html {
  const id = asText(operation["operationId"]);
  return html`<li>
    <a href="#${id}"><span class="method ${method}">${method}</span> ${path}</a>
  </li>`;
}

function problemLink(code: ProblemCode): Html {
  return html`<a href="/problems/${problemSlug(code)}">${code}</a> ${problemTable[code].title}`;
}

function operationHtml({ path, method, operation }: Operation, resolve: Resolve): Html {
  const content = asObject(asObject(operation["requestBody"])["content"]);
  const media = asObject(content["application/json"]);
  const parameters = asList(operation["parameters"]).map(resolve);
  return html`<section class="operation" id="${asText(operation["operationId"])}">
    <h3><span class="method ${method}">${method}</span> <code>${path}</code></h3>
    <p>${prose(asText(operation["summary"]))}. ${prose(asText(operation["description"]))}</p>
    <pre>${curlOf(path, media, parameters)}</pre>
    ${
      "schema" in media
        ? html`<h4>Body</h4>
            ${fieldsTable(media["schema"], resolve)}`
        : ""
    }
    ${
      parameters.length === 0
        ? ""
        : html`<h4>Parameters</h4>
            ${parametersTable(parameters, resolve)}`
    }
    <h4>Answers</h4>
    <div class="scroll">
      <table class="answers">
        ${answersOf(operation, resolve)}
      </table>
    </div>
  </section> `;
}

/** As a shell takes it. */
function curlOf(path: string, media: JsonSchema, parameters: readonly JsonSchema[]): string {
  const filled = path.replaceAll(/\{([^}]+)\}/g, (_, name: string) => {
    const parameter = parameters.find((it) => it["name"] === name && it["in"] === "path");
    return encodeURIComponent(shownText(parameter?.["example"] ?? name)).replaceAll("'", "%27");
  });
  const line = `curl -sS "$FOLDLOG_API_URL${filled}"`;
  const [example] = Object.values(asObject(media["examples"]));
  if (example === undefined) return line;
  const body = JSON.stringify(asObject(example)["value"]).replaceAll("'", `'\\''`);
  return `${line} \\\n  -H 'Content-Type: application/json' \\\n  -d '${body}'`;
}

function shownText(value: unknown): string {
  return typeof value === "number" ? String(value) : asText(value);
}

const ranges = [".gt", ".gte", ".lt", ".lte"] as const;

/** A column is one row, with the ways to compare it by. */
function parametersTable(parameters: readonly JsonSchema[], resolve: Resolve): Html {
  const names = parameters.map(({ name }) => asText(name));
  const rows = parameters.flatMap((parameter) => {
    const name = asText(parameter["name"]);
    const column = ranges.find((it) => name.endsWith(it)) && name.slice(0, name.lastIndexOf("."));
    if (column !== undefined && names.includes(column)) return [];
    const isColumn = ranges.every((it) => names.includes(name + it));
    const where = parameter["in"] === "header" ? "header, " : "";
    const schema = asObject(parameter["schema"]);
    const fallback = schema["default"];
    const text = isColumn
      ? "Just this. For a range:"
      : asText(parameter["description"] ?? schema["description"]);
    return html`<tr>
      <td><code>${name}</code></td>
      <td>${where}${typeOf(schema, resolve)}</td>
      <td>
        ${prose(text)}${
          isColumn ? ranges.map((it) => html` <code>${name}${it}</code>`) : ""
        }${fallback === undefined ? "" : html` Otherwise ${JSON.stringify(fallback)}.`}
      </td>
    </tr>`;
  });
  return html`<div class="scroll">
    <table>
      ${rows}
    </table>
  </div>`;
}

function answersOf(operation: JsonSchema, resolve: Resolve): readonly Html[] {
  return Object.entries(asObject(operation["responses"])).map(([status, answer]) => {
    const { description, content } = asObject(answer);
    const refused = asObject(asObject(content)["application/problem+json"])["schema"];
    const own = refused === undefined ? [] : problemsIn(asObject(refused), resolve);
    const told = asObject(asObject(asObject(content)["application/json"])["schema"]);
    const fields =
      Object.keys(told).length === 0
        ? ""
        : html`<details>
            <summary>Fields</summary>
            ${fieldsTable(told, resolve)}
          </details>`;
    const said =
      own.length > 0
        ? html`<ul class="plain">
            ${own.map((code) => html`<li>${problemLink(code)}</li>`)}
          </ul>`
        : html`${prose(asText(description))}${fields}`;
    return html`<tr>
      <td>${status}</td>
      <td>${said}</td>
    </tr>`;
  });
}

function problemsIn(schema: JsonSchema, resolve: Resolve): readonly ProblemCode[] {
  const each = "oneOf" in schema ? asList(schema["oneOf"]) : [schema];
  const named = each.map((it) => asText(resolve(it)["x-name"]).replace("Problem.", ""));
  return codes.filter((code) => named.includes(code));
}

/** What a kind of problem means, why it happens, and what to do: the address in a problem's `type`. */
export function problemPage(code: ProblemCode): string {
  const { status, title } = problemTable[code];
  const { why, next } = problemHelp[code];
  const body = html`<main class="single">
    <p><a href="/">The API</a> · <a href="/#problems">Problems</a></p>
    <h1>${title}</h1>
    <p class="quiet"><code>${code}</code>, status ${status}</p>
    <h2>Why</h2>
    <p>${prose(why)}</p>
    <h2>What to do</h2>
    <ol>
      ${next.map((step) => html`<li>${prose(step)}</li>`)}
    </ol>
    <p>The answer's <code>detail</code> tells what is wrong in this one case.</p>
  </main>`;
  return page(`${code}: ${title}`, body);
}

/** The kind of problem that the last part of an address names, or `null`. */
export function problemOfSlug(slug: string): ProblemCode | null {
  return codes.find((code) => problemSlug(code) === slug) ?? null;
}

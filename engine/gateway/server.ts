import { isUtf8 } from "node:buffer";
import { type FastifyInstance, type FastifyRequest, fastify } from "fastify";
import { parseJsonLine } from "../json-line.ts";
import { apiLimits } from "./api.ts";
import { toJson } from "./json.ts";
import { type FieldProblem, invalidRequest, Problem } from "./problem.ts";

/** The HTTP server: strict JSON in, problems out, and nothing of Fastify beyond this file but its types. */

export interface ServerHooks {
  /** A request was answered; `route` is its pattern, or `unknown`. */
  readonly answered: (about: {
    readonly route: string;
    readonly method: string;
    readonly status: number;
    readonly seconds: number;
  }) => void;
  /** A fault of ours, which the client sees as 500. */
  readonly fault: (
    error: unknown,
    request: { readonly method: string; readonly url: string },
  ) => void;
}

const problemType = "application/problem+json; charset=utf-8";

/** More than an id of 255 bytes takes when every byte is percent-encoded. */
const maxParameterLength = 1_000;
const maxUrlLength = 8_192;

export function openServer(hooks: ServerHooks): FastifyInstance {
  const app = fastify({
    bodyLimit: apiLimits.bodyBytes,
    routerOptions: { maxParamLength: maxParameterLength },
    requestTimeout: 10_000, // For the request to arrive, not for its answer.
    forceCloseConnections: "idle",
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => {
      // Its type is generic over schemas, which there are none of.
      refuse(problemOf(error, hooks, request), reply as unknown as Refusable);
    },
  });
  const patterns = new Map<string, Set<string>>();
  app.addHook("onRoute", ({ url, method }) => {
    const methods = patterns.get(url) ?? new Set<string>();
    for (const it of [method].flat()) methods.add(it);
    patterns.set(url, methods);
  });

  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    "application/json",
    { parseAs: "buffer" },
    async (_: unknown, body: Buffer) => jsonBody(body),
  );
  app.setReplySerializer((payload) => toJson(payload));
  app.addHook("onRequest", async (request, reply) => {
    reply.header("x-content-type-options", "nosniff").header("cache-control", "no-store");
    if (request.url.length > maxUrlLength) {
      const detail = `An address of more than ${maxUrlLength} characters holds nothing that this API takes.`;
      throw new Problem("URI_TOO_LONG", { detail });
    }
  });
  app.addHook("onResponse", async (request, reply) => {
    const route = request.routeOptions.url ?? "unknown";
    const { method } = request;
    hooks.answered({ route, method, status: reply.statusCode, seconds: reply.elapsedTime / 1000 });
  });
  app.setErrorHandler((error, request, reply) => {
    refuse(problemOf(error, hooks, request), reply);
  });
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split("?", 1)[0] ?? "";
    const methods = methodsAt(path, patterns);
    if (methods.length === 0) {
      const detail = `There is nothing at ${path.slice(0, 200)}. What there is: GET /openapi.json, and GET / for people.`;
      refuse(new Problem("NOT_FOUND", { detail }), reply);
      return;
    }
    reply.header("allow", methods.join(", "));
    const detail = `${path.slice(0, 200)} takes ${methods.join(" and ")}, not ${request.method}.`;
    refuse(new Problem("METHOD_NOT_ALLOWED", { detail }), reply);
  });
  return app;
}

/** What `refuse` needs of Fastify's reply, whose own type depends on the kind of server. */
interface Refusable {
  code(status: number): unknown;
  header(name: string, value: number): unknown;
  type(type: string): unknown;
  serializer(serialize: (payload: unknown) => string): unknown;
  send(payload: unknown): unknown;
}

function refuse(problem: Problem, reply: Refusable): void {
  const { retryAfter } = problem.details;
  if (retryAfter !== undefined) reply.header("retry-after", retryAfter);
  reply.code(problem.status);
  reply.type(problemType);
  reply.serializer(toJson);
  reply.send(problem.body());
}

function jsonBody(body: Buffer): unknown {
  if (body.length === 0) throw notJson("it is empty; a command is a JSON object");
  if (!isUtf8(body)) throw notJson("it is not UTF-8");
  const parsed = parseJsonLine(body.toString("utf8"));
  if (!parsed.ok) throw notJson(`character ${parsed.column}: ${parsed.message}`);
  return parsed.value;
}

function notJson(message: string): Problem {
  return invalidRequest([{ field: "body", message }]);
}

/** What Fastify refuses by itself, in our words; everything else is a fault of ours. */
function problemOf(
  error: unknown,
  hooks: ServerHooks,
  request: Pick<FastifyRequest, "method" | "url">,
): Problem {
  if (error instanceof Problem) return error;
  const { code, statusCode } = error as { code?: string; statusCode?: number };
  if (code === "FST_ERR_CTP_BODY_TOO_LARGE") {
    const detail = `The body is larger than ${apiLimits.bodyBytes} bytes; no command is. Nothing was sent.`;
    return new Problem("TOO_LARGE", { detail });
  }
  if (code === "FST_ERR_CTP_INVALID_MEDIA_TYPE" || code === "FST_ERR_CTP_EMPTY_TYPE") {
    const detail = "Send the command as JSON, with the header Content-Type: application/json.";
    return new Problem("UNSUPPORTED_MEDIA_TYPE", { detail });
  }
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    const field = code === "FST_ERR_BAD_URL" ? "path" : "request";
    return invalidRequest([{ field, message: (error as Error).message }]);
  }
  hooks.fault(error, request);
  const detail = "It is in this server's log. The same request may work later.";
  return new Problem("INTERNAL", { detail });
}

function methodsAt(path: string, patterns: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const parts = path.split("/");
  const found = [...patterns].flatMap(([pattern, methods]) => {
    const expected = pattern.split("/");
    const wild = expected.at(-1) === "*";
    const fits =
      (wild ? parts.length >= expected.length : parts.length === expected.length) &&
      expected.every((it, i) => it.startsWith(":") || it === "*" || it === parts[i]);
    return fits ? [...methods] : [];
  });
  return [...new Set(found)].sort();
}

/** The query parameters, each at most once and only those that are known; a refusal names all others. */
export function queryOf<N extends string>(
  request: Pick<FastifyRequest, "url">,
  known: readonly N[],
): Partial<Record<N, string>> {
  const query = new URLSearchParams(request.url.split("?").slice(1).join("?"));
  const problems: FieldProblem[] = [];
  const found: Partial<Record<N, string>> = {};
  for (const name of new Set(query.keys())) {
    const values = query.getAll(name);
    const field = `query ${name.slice(0, 100)}`;
    if (!(known as readonly string[]).includes(name)) {
      const all = known.length === 0 ? "takes none" : `takes ${known.join(", ")}`;
      problems.push({ field, message: `is not a parameter here; this address ${all}` });
    } else if (values.length > 1) problems.push({ field, message: "is given more than once" });
    else found[name as N] = values[0] ?? "";
  }
  const [first, ...more] = problems;
  if (first !== undefined) throw invalidRequest([first, ...more]);
  return found;
}

/** How long to wait, in milliseconds. */
export function waitMsOf(text: string | undefined): number {
  const { fallback, most } = apiLimits.waitMs;
  if (text === undefined) return fallback;
  if (/^\d{1,6}$/.test(text) && Number(text) <= most) return Number(text);
  const message = `expected milliseconds from 0 to ${most}`;
  throw invalidRequest([{ field: "query waitMs", message }]);
}

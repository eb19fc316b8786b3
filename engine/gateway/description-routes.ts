import type { FastifyInstance } from "fastify";
import type { Database } from "../postgres/postgres.ts";
import type { Api } from "./api.ts";
import { openApi } from "./openapi.ts";
import { pagePolicy } from "./page-html.ts";
import { problemOfSlug, problemPage, referencePage } from "./pages.ts";
import { Problem } from "./problem.ts";
import { queryOf } from "./server.ts";
import type { ViewCatalog } from "./view-catalog.ts";

/** What the gateway says of itself: the OpenAPI document, a page of it for people, and one a problem. */

export interface Description {
  readonly api: Api;
  readonly catalog: ViewCatalog;
  readonly database: Database;
}

export function descriptionRoutes(app: FastifyInstance, of: Description): void {
  app.get("/openapi.json", async (request) => {
    queryOf(request, []);
    return documentOf(of);
  });

  app.get("/", async (request, reply) => {
    queryOf(request, []);
    return asPage(reply, referencePage(await documentOf(of)));
  });

  app.get<{ Params: { slug: string } }>("/problems/:slug", async (request, reply) => {
    queryOf(request, []);
    const code = problemOfSlug(request.params.slug);
    if (code !== null) return asPage(reply, problemPage(code));
    throw new Problem("NOT_FOUND", {
      detail: "There is no such kind of problem; GET / lists all.",
    });
  });
}

/** The columns of the views are Postgres's to tell; until it has, the document does without them. */
async function documentOf({ api, catalog, database }: Description): Promise<object> {
  if (catalog.known() === null) {
    try {
      await database.transaction("snapshot", async (session) => catalog.load(session));
    } catch {
      // A database that is away is told of by /readyz.
    }
  }
  return openApi(api, catalog.known());
}

interface PageReply<R> {
  header(name: string, value: string): R;
  type(type: string): R;
  serializer(serialize: (payload: string) => string): R;
  send(payload: string): R;
}

function asPage<R extends PageReply<R>>(reply: R, text: string): R {
  return reply
    .header("content-security-policy", pagePolicy)
    .type("text/html; charset=utf-8")
    .serializer((payload) => payload)
    .send(text);
}

import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { stripTypeScriptTypes } from "node:module";
import { join } from "node:path";

/** Serves the page and what it imports, and hands `/api` on to the gateway, so that both are of one origin. */

const api = new URL(process.env["FOLDLOG_API_URL"] ?? "http://127.0.0.1:8080");
const port = Number(process.argv[2] ?? "8090");
const root = join(import.meta.dirname, "../..");

const pages: Readonly<Record<string, readonly [file: string, type: string]>> = {
  "/": ["examples/web/index.html", "text/html; charset=utf-8"],
  "/page.js": ["examples/web/page.js", "text/javascript; charset=utf-8"],
};
/** The client and what is generated from the schemas, as they are here but for their types. */
const modules = /^\/(engine\/client\/[a-z-]+|engine\/(backoff|clock)|schemas\/client)\.ts$/;

const server = createServer((asked, answer) => {
  const [path = ""] = (asked.url ?? "").split("?", 1);
  if (path.startsWith("/api/")) handOn(asked, answer);
  else void serve(path, answer);
});

async function serve(path: string, answer: ServerResponse): Promise<void> {
  const page = pages[path];
  if (page !== undefined) {
    const [file, type] = page;
    answer.writeHead(200, { "content-type": type }).end(await readFile(join(root, file)));
  } else if (modules.test(path)) {
    const text = await readFile(join(root, path), "utf8").catch(() => null);
    if (text === null) answer.writeHead(404).end();
    else {
      answer.writeHead(200, { "content-type": "text/javascript; charset=utf-8" });
      answer.end(stripTypeScriptTypes(text));
    }
  } else answer.writeHead(404).end();
}

function handOn(asked: IncomingMessage, answer: ServerResponse): void {
  const { method, headers, url = "" } = asked;
  const path = url.slice("/api".length);
  const { hostname, port: apiPort } = api;
  const onward = request({ hostname, port: apiPort, method, path, headers }, (answered) => {
    answer.writeHead(answered.statusCode ?? 502, answered.headers);
    answered.pipe(answer);
  });
  onward.on("error", () => {
    if (!answer.headersSent) answer.writeHead(502); // The client tries again by itself.
    answer.end();
  });
  answer.on("close", () => onward.destroy());
  asked.pipe(onward);
}

server.listen(port, "127.0.0.1", () => {
  const { port: at } = server.address() as AddressInfo;
  console.log(`http://127.0.0.1:${at}/ asks ${api.origin}`);
});

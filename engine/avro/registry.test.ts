import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { FatalError, TransientError } from "../errors.ts";
import { openRegistry, type Registry } from "./registry.ts";

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

const endings: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const end of endings.splice(0)) await end();
});

/** A server that gives every request this answer, and the registry at its address. */
async function served(
  answer: Answer,
  options: { readonly credentials?: string; readonly timeoutMs?: number } = {},
): Promise<{ readonly registry: Registry; readonly origin: string; readonly seen: string[] }> {
  const seen: string[] = [];
  const server = createServer((request, response) => {
    seen.push(`${request.method ?? ""} ${request.url ?? ""}`);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  endings.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const origin = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const url = `http://${options.credentials ?? ""}${origin}/apis/ccompat/v7/`;
  const registry = openRegistry({ url, requestTimeoutMs: options.timeoutMs ?? 5_000 });
  return { registry, origin, seen };
}

function json(status: number, body: unknown): Answer {
  return (_, response) => {
    response.writeHead(status, { "content-type": "application/vnd.schemaregistry.v1+json" });
    response.end(JSON.stringify(body));
  };
}

const never = new AbortController().signal;
const schema = { type: "record", name: "R", fields: [] };

/** Every call that the interface has. */
const calls: readonly [string, (registry: Registry) => Promise<unknown>][] = [
  ["schemaById", (registry) => registry.schemaById(7, never)],
  ["idOf", (registry) => registry.idOf("s", schema, never)],
  ["versionsOf", (registry) => registry.versionsOf("s", never)],
  ["levelOf", (registry) => registry.levelOf("s", never)],
  ["setLevel", (registry) => registry.setLevel("s", "NONE", never)],
  ["accepts", (registry) => registry.accepts("s", schema, never)],
  ["register", (registry) => registry.register("s", schema, "NONE", never)],
];

test("a subject is one segment of the path, whatever is in it", async () => {
  const { registry, seen } = await served(json(200, { id: 3 }));
  expect(await registry.idOf("a/b c?-d", schema, never)).toBe(3);
  expect(seen).toEqual(["POST /apis/ccompat/v7/subjects/a%2Fb%20c%3F-d"]);
});

test("what the registry says is not there is a value", async () => {
  const { registry } = await served(json(404, { error_code: 40403, message: "not found" }));
  expect(await registry.schemaById(7, never)).toBeNull();
  expect(await registry.idOf("s", schema, never)).toBeNull();
  expect(await registry.levelOf("s", never)).toBeNull();
  expect(await registry.versionsOf("s", never)).toEqual([]);
  expect(await registry.accepts("s", schema, never)).toBe(true);
});

test.each(calls)("a bare 404 is no proof that something does not exist: %s", async (_, call) => {
  const { registry } = await served((_request, response) => response.writeHead(404).end("nope"));
  const error: unknown = await call(registry).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(TransientError);
  expect((error as Error).message).toContain("Apicurio's ends in /apis/ccompat/v7");
});

test.each(calls)("401 and 403 are fatal and say which setting: %s", async (_, call) => {
  for (const status of [401, 403]) {
    const { registry } = await served(json(status, { error_code: status, message: "who?" }));
    const error: unknown = await call(registry).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(FatalError);
    expect(error).toMatchObject({ code: "UNAUTHORIZED" });
    expect((error as Error).message).toMatch(/answered 40[13]: who\?; .*SCHEMA_REGISTRY_URL/);
  }
});

test.each(calls)(
  "errors that may pass are transient: %s",
  async (_, call) => {
    for (const status of [429, 500, 503]) {
      const answer = json(status, { message: "java.lang.Oops: busy" });
      const { registry } = await served(answer);
      const error: unknown = await call(registry).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(TransientError);
      expect((error as Error).message).toContain(`answered ${status}`);
    }
  },
  30_000,
);

test.each(calls)("a redirect is not followed: %s", async (_, call) => {
  const { registry, seen } = await served((request, response) => {
    const status = request.method === "GET" ? 302 : 307;
    response.writeHead(status, { location: "/elsewhere" }).end();
  });
  await expect(call(registry)).rejects.toThrow("is a redirect, which is not followed");
  expect(seen).not.toContain("GET /elsewhere");
});

test.each(calls)(
  "a server that is not there is transient and told by its address: %s",
  async (_, call) => {
    const { origin } = await served(json(200, {}));
    for (const end of endings.splice(0)) await end();
    const url = `http://me:secret@${origin}`;
    const error: unknown = await call(openRegistry({ url, requestTimeoutMs: 5_000 })).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(TransientError);
    expect((error as Error).message).toContain(`http://${origin} cannot be reached`);
    expect((error as Error).message).not.toContain("secret");
  },
);

test.each(calls)("a server that does not answer is given up: %s", async (_, call) => {
  const { registry } = await served(() => undefined, { timeoutMs: 100 });
  await expect(call(registry)).rejects.toThrow("did not answer within 100 ms");
});

test.each(calls)("a server that breaks off its answer is transient: %s", async (_, call) => {
  const { registry } = await served(
    (_request, response) => {
      response.writeHead(200, { "content-length": "1000" });
      response.write('{"id":', () => response.destroy());
    },
    { timeoutMs: 200 },
  );
  await expect(call(registry)).rejects.toBeInstanceOf(TransientError);
});

test("an answer beyond any schema is not read to its end", async () => {
  let sent = 0;
  const { registry } = await served((_, response) => {
    response.writeHead(200);
    const chunk = Buffer.alloc(1024 * 1024, "x");
    const more = () => {
      if (!response.destroyed && sent < 200) response.write(chunk, more);
      sent++;
    };
    more();
  });
  await expect(registry.schemaById(7, never)).rejects.toThrow("is longer than 4194304 bytes");
  expect(sent).toBeLessThan(100);
});

test.each(["no json", "[]", '{"id":"seven"}', "null"])(
  "an answer of the wrong form is transient: %s",
  async (body) => {
    const { registry } = await served((_, response) => response.writeHead(200).end(body));
    await expect(registry.idOf("s", schema, never)).rejects.toBeInstanceOf(TransientError);
    await expect(registry.schemaById(7, never)).rejects.toBeInstanceOf(TransientError);
  },
);

test("user and password go from the address into the header, decoded, and nowhere else", async () => {
  const headers: (string | undefined)[] = [];
  const answer: Answer = (request, response) => {
    headers.push(request.headers.authorization);
    json(200, { id: 1, compatibilityLevel: "NONE" })(request, response);
  };
  const { registry, seen } = await served(answer, { credentials: "me:p%40ss%2F@" });
  await registry.idOf("s", schema, never);
  await registry.register("s", schema, "NONE", never);
  const basic = `Basic ${Buffer.from("me:p@ss/").toString("base64")}`;
  expect(new Set(headers)).toEqual(new Set([basic]));
  expect(seen).toHaveLength(3);
  expect(seen.join()).not.toContain("p%40ss");
});

test("stopping ends a call at once", async () => {
  for (const [, call] of [
    ["", (registry: Registry, signal: AbortSignal) => registry.schemaById(7, signal)],
    [
      "",
      (registry: Registry, signal: AbortSignal) => registry.register("s", schema, "NONE", signal),
    ],
  ] as const) {
    const stop = new AbortController();
    const { registry } = await served(() => {
      stop.abort();
    });
    await expect(call(registry, stop.signal)).rejects.toBeInstanceOf(TransientError);
  }
});

test.each([409, 422])(
  "a %i on registering is a refusal with the registry's words",
  async (status) => {
    const { registry } = await served((request, response) => {
      const isLevel = request.method === "GET";
      const words = { message: "a.b.RuleViolationException: no default" };
      json(isLevel ? 200 : status, isLevel ? { compatibilityLevel: "NONE" } : words)(
        request,
        response,
      );
    });
    expect(await registry.register("s", schema, "NONE", never)).toEqual({
      kind: "refused",
      reason: "no default",
    });
  },
);

test("a subject without the level that it should have is not registered to", async () => {
  const other = await served(json(200, { id: 1, compatibilityLevel: "NONE" }));
  const without = await served(json(404, { error_code: 40401, message: "no such subject" }));
  for (const { registry, seen } of [other, without]) {
    await expect(registry.register("s", schema, "FULL_TRANSITIVE", never)).rejects.toThrow();
    expect(seen).toEqual(["GET /apis/ccompat/v7/config/s"]);
  }
});

test("registering asks as often as ever after another user of the client set its retries", async () => {
  const { registry, seen } = await served(json(503, {}));
  const timesAsked = async () => {
    seen.length = 0;
    await registry.register("s", schema, "NONE", never).catch(() => undefined);
    return seen.length;
  };
  const first = await timesAsked();
  const { SchemaRegistry } = await import("@kafkajs/confluent-schema-registry");
  new SchemaRegistry({ host: "http://127.0.0.1:1", retry: { retries: 0 } });
  expect(await timesAsked()).toBe(first);
});

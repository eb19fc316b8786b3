import { ClientError } from "./client-error.ts";
import type { Transport } from "./transport.ts";

export interface HttpOptions {
  /** In place of the global `fetch`: to add headers of your own, for example `authorization`. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>;
}

/** A connection that says nothing for longer is cut by some proxies. */
const waitAtMostMs = 10_000;

/**
 * To a gateway at this address, by `fetch` alone: in a browser, in Node 20 and later, and wherever else there is
 * one. A path in the address is kept, for a gateway behind a proxy: `https://example.org/bank`.
 * @throws ClientError `BAD_CALL` where it is no http(s) address
 */
export function overHttp(address: string | URL, options: HttpOptions = {}): Transport {
  const base = baseOf(String(address));
  const send = options.fetch ?? ((url, init) => fetch(url, init));
  return {
    to: base,
    waitAtMostMs,
    async exchange({ method, path, headers, body }, signal) {
      const response = await send(`${base}${path}`, {
        method,
        headers: { ...headers, ...(body !== null && { "content-type": "application/json" }) },
        body,
        signal,
        cache: "no-store",
      });
      // A proxy that sends on to a login page is not the API: its page is then told of as a bad answer.
      const text = await response.text();
      return { status: response.status, retryAfter: response.headers.get("retry-after"), text };
    },
    close: async () => undefined,
  };
}

function baseOf(address: string): string {
  const isHttp = URL.canParse(address) && /^https?:$/.test(new URL(address).protocol);
  if (isHttp && !/[?#]/.test(address)) return address.replace(/\/+$/, "");
  throw new ClientError(
    `${JSON.stringify(address)} is not the address of a gateway. One begins with http:// or https:// and has ` +
      "neither a query nor a fragment, for example http://127.0.0.1:8080.",
    { code: "BAD_CALL" },
  );
}

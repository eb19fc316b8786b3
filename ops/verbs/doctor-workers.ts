import { messageOf } from "../../engine/errors.ts";
import { type Finding, good, mends, orGood, warning, wrong } from "./doctor-finding.ts";
import { plural } from "./output.ts";
import type { Environment } from "./settings.ts";
import type { Health } from "./status-facts.ts";

/** What the workers' and the gateway's health checks say. */

export function healthFindings(health: readonly Health[]): readonly Finding[] {
  const id = "workers";
  if (health.length === 0) {
    return [
      warning(id, {
        found: "FOLDLOG_METRICS_URLS is not set",
        why: "whether the workers are ready cannot be asked",
        mend: "set it to the /metrics addresses of the workers, separated by commas",
      }),
    ];
  }
  const troubles = health.flatMap(({ url, problems }) =>
    problems.map((problem, i) =>
      wrong(`${id}/${new URL(url, "http://unknown").host}${i === 0 ? "" : `/${i + 1}`}`, {
        found: problem,
        why: "what that process runs does not go on",
        mend: `ops/README.md, "Workers that are not ready"; where it is not up, ${mends.start}`,
      }),
    ),
  );
  return orGood(troubles, good(id, `${plural(health.length, "process", "processes")} ready`));
}

/** The gateway's `/readyz`: its status, and the lines below the first one. */
export interface GatewayFacts {
  readonly url: string;
  /** `null` where nobody answers. */
  readonly status: number | null;
  readonly lines: readonly string[];
}

/** `null` where no address is set. */
export async function askGateway(
  env: Environment,
  signal: AbortSignal,
): Promise<GatewayFacts | null> {
  const url = env["FOLDLOG_API_URL"] ?? "";
  if (url === "") return null;
  try {
    const answer = await fetch(new URL("/readyz", url), { signal });
    const [, ...lines] = (await answer.text()).trimEnd().split("\n");
    return { url, status: answer.status, lines };
  } catch (error) {
    return { url, status: null, lines: [messageOf((error as Error).cause ?? error)] };
  }
}

export function gatewayFindings(gateway: GatewayFacts | null): readonly Finding[] {
  const id = "gateway";
  if (gateway === null) {
    const found = "FOLDLOG_API_URL is not set";
    const why = "whether commands are taken over HTTP cannot be asked";
    return [warning(id, { found, why, mend: "set it to the address of the gateway" })];
  }
  const { url, status, lines } = gateway;
  const said = lines.join("; ");
  if (status === null) {
    const found = `${url} does not answer: ${said}`;
    const why = "no command is taken over HTTP, and no view is read";
    const mend = "npm run -s foldlog -- run gateway";
    return [wrong(id, { found, why, mend })];
  }
  if (status !== 200) {
    const found = `${url} is not ready (${status})${said === "" ? "" : `: ${said}`}`;
    const why = "commands over HTTP are refused until it is";
    const mend = 'mend what it waits for: ops/README.md, "Workers that are not ready"';
    return [wrong(id, { found, why, mend })];
  }
  if (said === "") return [good(id, `ready at ${url}`)];
  const why = "it takes commands, and cannot do what the line says";
  return [
    warning(id, { found: `ready at ${url}, but: ${said}`, why, mend: "mend what it waits for" }),
  ];
}

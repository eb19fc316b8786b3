/**
 * The health check of a container: exits with 0 where this container's `/readyz` answers that it is ready,
 * else with 1 and what it answered. An image needs no curl for it.
 */
import { get } from "node:http";

const port = process.env["FOLDLOG_METRICS_PORT"] ?? "9464";

const request = get({ host: "127.0.0.1", port, path: "/readyz", timeout: 8_000 }, (response) => {
  process.exitCode = response.statusCode === 200 ? 0 : 1;
  response.pipe(process.stdout); // `docker inspect` shows it.
});
request.on("timeout", () => request.destroy(new Error("no answer within 8 s")));
request.on("error", (error) => {
  process.stdout.write(`${error.message}\n`);
  process.exitCode = 1;
});

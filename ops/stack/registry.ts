import { join } from "node:path";
import { type Child, plainEnvironment, startChild, waitUntilReady } from "./child.ts";
import type { Folder } from "./folder.ts";
import { type Java, javaOptions, quickJava } from "./java.ts";

export interface RegistryOptions {
  readonly java: Java;
  /** The unpacked Apicurio Registry. */
  readonly dir: string;
  readonly ports: { readonly registry: number; readonly management: number };
  readonly database: { readonly port: number; readonly password: string };
}

/** The address of its Confluent API. */
export function registryUrl(port: number): string {
  return `http://127.0.0.1:${port}/apis/ccompat/v7`;
}

/** Runs Apicurio Registry on 127.0.0.1, its schemas in Postgres, and comes back when it answers. */
export async function startRegistry(
  folder: Folder,
  { java, dir, ports, database }: RegistryOptions,
  signal: AbortSignal,
): Promise<Child> {
  const jvm = [...javaOptions(folder, "../registry.jsa"), "-Xmx256m", ...quickJava];
  const child = await startChild(folder, {
    name: "registry",
    stage: "registry",
    command: join(java.home, "bin", "java"),
    args: [...jvm, "-jar", "quarkus-run.jar"],
    cwd: dir,
    env: {
      ...plainEnvironment(process.env),
      QUARKUS_HTTP_HOST: "127.0.0.1",
      QUARKUS_HTTP_PORT: String(ports.registry),
      // Without these, a second port listens on every address of the machine.
      QUARKUS_MANAGEMENT_HOST: "127.0.0.1",
      QUARKUS_MANAGEMENT_PORT: String(ports.management),
      APICURIO_STORAGE_KIND: "sql",
      APICURIO_STORAGE_SQL_KIND: "postgresql",
      APICURIO_DATASOURCE_URL: `jdbc:postgresql://127.0.0.1:${database.port}/apicurio`,
      APICURIO_DATASOURCE_USERNAME: "apicurio",
      APICURIO_DATASOURCE_PASSWORD: database.password,
      // Of itself it would hold 20 connections open, and up to 100.
      APICURIO_DATASOURCE_JDBC_INITIAL_SIZE: "1",
      APICURIO_DATASOURCE_JDBC_MIN_SIZE: "1",
      APICURIO_DATASOURCE_JDBC_MAX_SIZE: "10",
    },
  });
  const isReady = () => answersOk(`${registryUrl(ports.registry)}/subjects`);
  await waitUntilReady(child, isReady, { label: "The registry", withinMs: 120_000, signal });
  return child;
}

/** Whether a GET of this address is answered with a 2xx status now. */
export async function answersOk(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false; // Not listening yet.
  }
}

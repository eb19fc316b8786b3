import { once } from "node:events";
import { createServer } from "node:net";
import { describe, expect, test } from "vitest";
import { folderAt } from "../stack/folder.ts";
import {
  askDisk,
  askMaven,
  askPorts,
  diskFindings,
  javaFindings,
  mavenFindings,
  nodeFindings,
  type PortFacts,
  portFindings,
  useOf,
} from "./doctor-machine.ts";
import { freePorts } from "../stack/ports.ts";

const statuses = (findings: readonly { readonly status: string }[]) =>
  findings.map(({ status }) => status);

describe("Node", () => {
  test("is good where the npm package runs this", () => {
    const findings = nodeFindings({ running: "24.21.0", packaged: "24.21.0" });
    expect(statuses(findings)).toEqual(["ok", "ok"]);
  });

  test("needs no npm package where the machine's own is new enough, as in an image", () => {
    expect(statuses(nodeFindings({ running: "24.1.0", packaged: null }))).toEqual(["ok", "ok"]);
  });

  test("is wrong where it is older than 24, and npm brings a newer one", () => {
    const [node] = nodeFindings({ running: "22.9.0", packaged: null });
    expect(node).toMatchObject({
      status: "wrong",
      mend: expect.stringContaining("npm ci") as unknown,
    });
  });

  test("is to look at where it is not the one that the workers get", () => {
    const findings = nodeFindings({ running: "26.0.0", packaged: "24.21.0" });
    expect(statuses(findings)).toEqual(["ok", "warn"]);
  });
});

describe("Java and Maven", () => {
  test("are not needed where the brokers are elsewhere", () => {
    expect(useOf(["kafka-1:9092"], "/somewhere")).toBe("elsewhere");
    expect(useOf(["127.0.0.1:9092"], null)).toBe("elsewhere");
    expect(statuses(javaFindings({ PATH: "/nowhere" }, "elsewhere"))).toEqual(["ok"]);
    const none = { program: null, isDownloaded: false };
    expect(statuses(mavenFindings(none, "elsewhere"))).toEqual(["ok"]);
  });

  test("are needed where a stack is, or may yet be, on this machine", () => {
    expect(useOf([], null)).toBe("local");
    expect(useOf(["127.0.0.1:9092", "localhost:9094"], "/somewhere")).toBe("local");
    const [maven] = mavenFindings({ program: null, isDownloaded: false }, "local");
    expect(maven).toMatchObject({
      status: "wrong",
      mend: expect.stringContaining("apt install") as unknown,
    });
  });

  test("mvn is not needed any more once all is downloaded", () => {
    const facts = askMaven({ PATH: "/nowhere" }, folderAt("/nowhere/either"));
    expect(facts).toEqual({ program: null, isDownloaded: false });
    expect(statuses(mavenFindings({ ...facts, isDownloaded: true }, "local"))).toEqual(["ok"]);
  });
});

describe("ports", () => {
  const port = (held: PortFacts["held"]): PortFacts => ({
    port: 9092,
    owner: "Kafka",
    setting: "FOLDLOG_KAFKA_PORT",
    held,
  });

  test("that are free or the stack's own are good", () => {
    const [finding] = portFindings([port("free"), port("ours")], "local", true);
    expect(finding).toMatchObject({
      status: "ok",
      found: expect.stringMatching(/1 held by the stack/) as unknown,
    });
  });

  test("that somebody else holds are wrong, with who it is and the setting that moves ours", () => {
    const [finding] = portFindings([port({ by: "pid 7 (nginx)" })], "local", false);
    expect(finding).toMatchObject({
      id: "ports/9092",
      status: "wrong",
      found: "port 9092, for Kafka, is held by pid 7 (nginx)",
      mend: expect.stringContaining("FOLDLOG_KAFKA_PORT=19092 npm start") as unknown,
    });
  });

  test("do no harm to a stack that is up at others, nor where none is to start", () => {
    const taken = [port({ by: "pid 7 (nginx)" })];
    expect(statuses(portFindings(taken, "local", true))).toEqual(["warn"]);
    expect(statuses(portFindings(taken, "elsewhere", false))).toEqual(["ok"]);
  });

  test("are free where nobody listens", async () => {
    const [free = 0] = await freePorts(1);
    const claim = { port: free, owner: "Kafka", setting: "FOLDLOG_KAFKA_PORT" };
    expect(await askPorts([claim], folderAt("/nowhere"))).toEqual([{ ...claim, held: "free" }]);
  });

  test("are left alone while they are looked at: a worker can start meanwhile", async () => {
    const [free = 0] = await freePorts(1);
    const claim = { port: free, owner: "Kafka", setting: "FOLDLOG_KAFKA_PORT" };
    for (let time = 0; time < 100; time++) {
      const asking = askPorts([claim], folderAt("/nowhere"));
      const server = createServer().listen(free, "127.0.0.1");
      await once(server, "listening");
      server.close();
      await Promise.all([asking, once(server, "close")]);
    }
  });
});

describe("the disk", () => {
  const disk = (freeBytes: number) => [{ what: "state", dir: "/data", freeBytes }];

  test("with little room is to look at, and with almost none is wrong", () => {
    expect(statuses(diskFindings(disk(9e9)))).toEqual(["ok"]);
    expect(statuses(diskFindings(disk(1e9)))).toEqual(["warn"]);
    const [full] = diskFindings(disk(1e8));
    expect(full).toMatchObject({
      id: "disk/state",
      status: "wrong",
      found: "100 MB free at /data",
      mend: expect.stringContaining("FOLDLOG_STATE_DIR") as unknown,
    });
  });

  test("is asked where the folder would be made, should it not be there", async () => {
    const { freeBytes } = await askDisk("state", "/no/such/folder");
    expect(freeBytes).toBeGreaterThan(0);
  });
});

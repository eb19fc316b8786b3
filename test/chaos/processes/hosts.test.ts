import { execFileSync, fork } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { freePorts } from "../../../ops/stack/ports.ts";
import { processWith } from "../../../ops/stack/process-id.ts";
import { until } from "../../until.ts";
import { type Hosts, type NetworkHost, openHosts, type Peer, whyNoHosts } from "./hosts.ts";

const why = whyNoHosts();
let port = 0;
const echo = () =>
  `require("net").createServer((s) => s.on("error", () => {}).pipe(s)).listen(${port}, "0.0.0.0")`;

/** Whether one who is in this host gets an answer from there within so long. */
async function hears(from: NetworkHost, { address }: Peer, withinS: number): Promise<boolean> {
  const talk = `exec 3<>/dev/tcp/${address}/${port}; echo hello >&3; head -n 1 <&3`;
  const child = from.spawn("timeout", [`${withinS}`, "bash", "-c", talk], { stdio: "ignore" });
  const [code] = (await once(child, "exit")) as [number | null];
  return code === 0;
}

/** However slow the machine. */
async function reaches(from: NetworkHost, to: Peer): Promise<void> {
  await until(`${from.name} to reach ${to.name}`, () => hears(from, to, 10));
}

async function reachesNot(from: NetworkHost, to: Peer): Promise<void> {
  expect(await hears(from, to, 1), `${from.name} reaches ${to.name}`).toBe(false);
}

function canConnect(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, address, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => {
      resolve(false);
    });
  });
}

const namespaces = () => execFileSync("ip", ["netns", "list"], { encoding: "utf8" });

describe.skipIf(why !== null)(`Network hosts${why === null ? "" : ` (skipped: ${why})`}`, () => {
  let hosts: Hosts;
  let one: NetworkHost;
  let other: NetworkHost;
  let door: Peer;
  const server = createServer((socket) => socket.on("error", () => undefined).pipe(socket));

  beforeAll(async () => {
    [port = 0] = await freePorts(1);
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    hosts = await openHosts();
    one = await hosts.addHost("account/1");
    other = await hosts.addHost("broker/1");
    door = await hosts.addDoor("postgres", [port]);
    other.spawn(process.execPath, ["-e", echo()], { stdio: "ignore" });
    await until("the other host to listen", () => canConnect(other.address));
  });
  afterEach(() => one.heal());
  afterAll(async () => {
    await hosts.close();
    server.close();
  });

  test("reach each other, and what listens on this machine by its door alone", async () => {
    await reaches(one, other);
    await reaches(one, door);
    await reachesNot(one, hosts.outside);
  });

  test.each(["both", "in", "out"] as const)(
    "hear nothing of each other where packets are lost (%s), and others go on",
    async (direction) => {
      const mend = await one.cut(other, direction);
      await reachesNot(one, other);
      await reaches(one, door);
      await mend();
      await reaches(one, other);
    },
  );

  test("stay cut while one of two cuts is left", async () => {
    const first = await one.cut(other, "both");
    const second = await one.cut("all", "in");
    await first();
    await reachesNot(one, other);
    await reachesNot(one, door);
    await second();
    await reaches(one, other);
  });

  test("lose packets one way only", async () => {
    await one.cut(other, "in");
    const talk = `exec 3<>/dev/tcp/${other.address}/${port}`;
    const child = one.spawn("timeout", ["30", "bash", "-c", talk], { stdio: "ignore" });
    const ended = once(child, "exit");
    const [command = "", ...inside] = one.enter;
    const counters = [...inside, "iptables", "-w", "-nvxL", "INPUT"];
    await until("the answer to come, and be lost", () =>
      /^\s*[1-9]\d*\s.*DROP/m.test(String(execFileSync(command, counters))),
    );
    child.kill();
    await ended;
  });

  test("keep the pid of a process, and end it when they are closed", async () => {
    const mine = await openHosts();
    const host = await mine.addHost("a");
    const sleeper = host.spawn("sleep", ["60"], { stdio: "ignore" });
    await until("it to run", () => namespaceOf(sleeper.pid ?? 0) !== namespaceOf(process.pid));
    expect(namespaces()).toContain(`foldlog-${process.pid}-`);
    await mine.close();
    await until("it to be gone", () => processWith(sleeper.pid ?? 0) === undefined);
  });

  test("are gone soon after their run was killed", async () => {
    const program = fileURLToPath(new URL("testing/hosts-held.ts", import.meta.url));
    const run = fork(program, [], { execArgv: [], stdio: ["ignore", "inherit", "inherit", "ipc"] });
    await once(run, "message");
    expect(namespaces()).toContain(`foldlog-${run.pid ?? 0}-`);
    run.kill("SIGKILL");
    await until("its hosts to be gone", () => !namespaces().includes(`foldlog-${run.pid ?? 0}-`));
  });
});

function namespaceOf(pid: number): string {
  return execFileSync("readlink", [`/proc/${pid}/ns/net`], { encoding: "utf8" });
}

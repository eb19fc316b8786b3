import { execFileSync, fork } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { processWith } from "../../../ops/stack/process-id.ts";
import { until } from "../../until.ts";
import { type Hosts, type NetworkHost, openHosts, type Peer, whyNoHosts } from "./hosts.ts";

const why = whyNoHosts();
const port = 18_500;
const echo = `require("net").createServer((s) => s.on("error", () => {}).pipe(s)).listen(${port}, "0.0.0.0")`;

/** Whether one who is in this host gets an answer from there. */
async function reaches(from: NetworkHost, { address }: Peer): Promise<boolean> {
  const talk = `exec 3<>/dev/tcp/${address}/${port}; echo hello >&3; head -n 1 <&3`;
  const child = from.spawn("timeout", ["1", "bash", "-c", talk], { stdio: "ignore" });
  const [code] = (await once(child, "exit")) as [number | null];
  return code === 0;
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
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    hosts = await openHosts();
    one = await hosts.addHost("account/1");
    other = await hosts.addHost("broker/1");
    door = await hosts.addDoor("postgres", [port]);
    other.spawn(process.execPath, ["-e", echo], { stdio: "ignore" });
    await until("the other host to listen", () => canConnect(other.address));
  });
  afterEach(() => one.heal());
  afterAll(async () => {
    await hosts.close();
    server.close();
  });

  test("reach each other, and what listens on this machine by its door alone", async () => {
    expect(await reaches(one, other)).toBe(true);
    expect(await reaches(one, door)).toBe(true);
    expect(await reaches(one, hosts.outside)).toBe(false);
  });

  test.each(["both", "in", "out"] as const)(
    "hear nothing of each other where packets are lost (%s), and others go on",
    async (direction) => {
      const mend = await one.cut(other, direction);
      expect(await reaches(one, other)).toBe(false);
      expect(await reaches(one, door)).toBe(true);
      await mend();
      expect(await reaches(one, other)).toBe(true);
    },
  );

  test("stay cut while one of two cuts is left", async () => {
    const first = await one.cut(other, "both");
    const second = await one.cut("all", "in");
    await first();
    expect(await reaches(one, other)).toBe(false);
    expect(await reaches(one, door)).toBe(false);
    await second();
    expect(await reaches(one, other)).toBe(true);
  });

  test("lose packets one way only", async () => {
    await one.cut(other, "in");
    const child = one.spawn(
      "timeout",
      ["1", "bash", "-c", `exec 3<>/dev/tcp/${other.address}/${port}`],
      {
        stdio: "ignore",
      },
    );
    await once(child, "exit");
    const sent = execFileSync(String(one.enter[0]), [
      ...one.enter.slice(1),
      "iptables",
      "-nvxL",
      "INPUT",
    ]);
    expect(/^\s*[1-9]\d*\s.*DROP/m.test(String(sent))).toBe(true); // The answer came, and was lost.
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

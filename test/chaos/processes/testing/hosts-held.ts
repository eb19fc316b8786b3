/** Opens hosts, says so, and waits to be killed: for the test of what becomes of them. */
import { openHosts } from "../hosts.ts";

const hosts = await openHosts();
await hosts.addHost("held");
process.send?.("open");

import { systemClock } from "../../../engine/clock.ts";
import type { Fault, Plan } from "../plan.ts";
import type { StartOptions, StartSystem, System } from "../system.ts";
import { runName } from "../../containers/docker.ts";
import { Containers } from "./containers.ts";
import { beginFault, type Stop, whyNotHere } from "./faults.ts";
import { openProject, type Project, type ProjectOptions, servicesFor } from "./project.ts";

/**
 * The bank of docker-compose.yml, on the official images, as a project of the run's own. What befalls it is
 * done from outside, by the commands that an operator would type: `docker kill`, `stop`, `pause`, `network
 * disconnect`. In containers "isolate" cuts its target off from everybody, not only from the one that it names.
 */
export const startCompose: StartSystem = (options, signal) =>
  startProject(options, { name: `foldlog-test-${runName}`, afterwards: "remove" }, signal);

/**
 * The same under another name, and perhaps kept.
 * @throws Error where the plan asks for what containers cannot do, before anything is started
 */
export async function startProject(
  { plan, folder, onStep }: StartOptions,
  as: Pick<ProjectOptions, "name" | "afterwards">,
  signal: AbortSignal,
): Promise<System> {
  requirePossible(plan);
  const project = await openProject({ ...as, plan, folder });
  try {
    onStep("The image is built");
    await project.build(signal);
    const services = servicesFor(plan);
    onStep(`${services.length} services start: ${services.join(", ")}`);
    await project.up(signal);
    const addresses = await project.addresses();
    const containers = await Containers.open({ project, onEnding: onStep });
    const system = composeSystem(project, containers, addresses);
    if (as.afterwards === "remove") return system;
    return {
      ...system,
      stop: async () => {
        await system.stop();
        const { apiUrl, kafkaBrokers } = addresses;
        const at = `brokers ${kafkaBrokers}${apiUrl === null ? "" : `, gateway ${apiUrl}`}`;
        onStep(`But it was to be kept: ${at}. To remove it: ${project.removal}`);
      },
    };
  } catch (error) {
    await project.down();
    throw error;
  }
}

/** @throws Error that names every fault of the plan that containers cannot do */
export function requirePossible({ name, faults, on }: Plan): void {
  const reasons = faults.flatMap((fault) => whyNotHere(fault) ?? []);
  if (!on.includes("compose")) reasons.unshift(`it says that it is for ${on.join(" and ")}`);
  if (reasons.length === 0) return;
  const all = [...new Set(reasons)].join("; ");
  throw new Error(`The plan "${name}" cannot be run on docker-compose: ${all}.`);
}

function composeSystem(
  project: Project,
  containers: Containers,
  addresses: System["addresses"],
): System {
  /** How each fault in force is ended. */
  const inForce = new Map<Fault, Stop>();
  const options = { containers, addresses, clock: systemClock };
  const end = async (fault: Fault) => {
    const stop = inForce.get(fault);
    inForce.delete(fault);
    await stop?.();
  };
  return {
    addresses,
    begin: async (fault) => {
      inForce.set(fault, await beginFault(options, fault));
    },
    end: async (fault) => {
      await end(fault);
      return null; // Containers are hit whatever they do.
    },
    heal: async () => {
      for (const fault of inForce.keys()) await end(fault);
      for (const it of containers.all) await containers.mend(it);
    },
    workers: () => containers.workers(),
    endings: () => containers.endings,
    printed: async () => [await project.printed()],
    stop: async () => {
      await containers.close();
      await project.down();
    },
  };
}

// The story that the demo tells: what is done in each step, and by what it is seen to have happened, through the Kubernetes API and on the
// device itself.

import { currentCondition } from "./board.ts";
import type { Truth } from "./device.ts";
import type { Site, World } from "./world.ts";

/** How far a step is: what is still missing, or nothing. */
export type Missing = string | undefined;

export interface Step {
  title: string;
  /** What is told once it is seen. */
  outcome: string;
  /** Longest time until it is seen, seconds. */
  deadlineS: number;
  act: (world: World) => Promise<void>;
  /** What is not yet as it should be; asked several times a second. */
  missing: (world: World) => Promise<Missing> | Missing;
}

export const STEPS: readonly Step[] = [
  {
    title: "three devices connect",
    outcome: "berlin, lyon and porto are Connected",
    deadlineS: 60,
    act: async (world) => world.apply("devices.yaml"),
    missing: ({ board }) =>
      first(
        ...["berlin", "lyon", "porto"].map((name) => {
          const ready = currentCondition(board.devices.get(name), "Ready");
          const backend = currentCondition(board.backends.get(name), "Ready");
          return ready?.status === "True"
            ? undefined
            : `EdgeDevice ${name} Ready=True; it is ${tell(ready)}, its EdgeBackend ${tell(backend)}`;
        }),
      ),
  },
  {
    title: "containers are created and run",
    outcome: "web, sensor and camera run, each exactly once",
    deadlineS: 90,
    act: async (world) => world.apply("containers.yaml"),
    missing: async (world) =>
      first(
        ready(world, "web"),
        ready(world, "sensor"),
        ready(world, "camera"),
        await onDevice(world, "berlin", "web", "docker.io/library/nginx:1.27"),
        await onDevice(world, "lyon", "sensor", "registry.example.com/acme/sensor:1.0"),
        await onDevice(world, "porto", "camera", "registry.example.com/acme/camera:2.4"),
      ),
  },
  {
    title: "an image is changed",
    outcome: "web runs nginx:1.28, pulled before nginx:1.27 was stopped",
    deadlineS: 90,
    act: async (world) => patch(world, "web", { image: "docker.io/library/nginx:1.28" }),
    missing: async (world) =>
      first(ready(world, "web"), await onDevice(world, "berlin", "web", "docker.io/library/nginx:1.28")),
  },
  {
    title: "a container crash-loops and is backed off",
    outcome: "reporter is in CrashLoopBackOff: the device starts it again and again, with growing pauses",
    deadlineS: 60,
    act: async (world) => world.apply("crasher.yaml"),
    missing: ({ board }) => {
      const restarts = board.containers.get("reporter")?.status?.restartCount ?? 0;
      const condition = currentCondition(board.containers.get("reporter"), "Ready");
      return condition?.status === "False" && condition.reason === "CrashLoopBackOff" && restarts >= 2
        ? undefined
        : `reporter Ready=False CrashLoopBackOff after its third exit; it is ${tell(condition)}, ${restarts} restarts`;
    },
  },
  {
    title: "a device goes offline",
    outcome: "lyon is Offline: sensor is Ready=Unknown DeviceUnreachable, and its last known state is kept",
    deadlineS: 60,
    act: async (world) => world.device("lyon").goOffline(),
    missing: ({ board }) => {
      const state = board.devices.get("lyon")?.status?.connection?.state;
      const condition = currentCondition(board.containers.get("sensor"), "Ready");
      return state === "Offline" && condition?.status === "Unknown" && condition.reason === "DeviceUnreachable"
        ? undefined
        : `EdgeDevice lyon Offline and sensor Ready=Unknown DeviceUnreachable; they are ${state ?? "unknown"} and ${tell(condition)}`;
    },
  },
  {
    title: "a change made meanwhile waits",
    outcome: "sensor is Reconciling WaitingForDevice: nothing is sent and nothing is lost",
    deadlineS: 30,
    act: async (world) => patch(world, "sensor", { env: [{ name: "INTERVAL", value: "2s" }] }),
    missing: async (world) => {
      const condition = currentCondition(world.board.containers.get("sensor"), "Reconciling");
      return first(
        condition?.reason === "WaitingForDevice"
          ? undefined
          : `sensor Reconciling WaitingForDevice; it is ${tell(condition)}`,
        await onDevice(world, "lyon", "sensor", "registry.example.com/acme/sensor:1.0", "INTERVAL=10s"),
      );
    },
  },
  {
    title: "the device comes back",
    outcome: "lyon is Connected, and sensor runs with the INTERVAL that was set meanwhile",
    deadlineS: 90,
    act: async (world) => world.device("lyon").comeBack(),
    missing: async (world) =>
      first(
        ready(world, "sensor"),
        await onDevice(world, "lyon", "sensor", "registry.example.com/acme/sensor:1.0", "INTERVAL=2s"),
      ),
  },
  {
    title: "a container is removed",
    outcome: "camera is gone, from the API and from porto; its neighbour is still there",
    deadlineS: 60,
    act: async (world) => {
      await world.kubectl(["delete", "edgecontainer", "camera", "--wait=false"], "delete ec camera");
    },
    missing: async (world) => {
      const there = await world.device("porto").containers();
      return first(
        there.some(({ name }) => name === "camera") ? "camera gone from porto; it is still there" : undefined,
        world.board.containers.has("camera") ? "EdgeContainer camera gone; it is still there" : undefined,
        there.filter(({ name }) => name === "reporter").length === 1 ? undefined : `reporter on porto; ${list(there)}`,
      );
    },
  },
];

function first(...found: Missing[]): Missing {
  return found.find((missing) => missing !== undefined);
}

/** Ready=True at the present generation. */
function ready({ board }: World, name: string): Missing {
  const condition = currentCondition(board.containers.get(name), "Ready");
  return condition?.status === "True"
    ? undefined
    : `${name} Ready=True at its newest generation; it is ${tell(condition)}`;
}

/** Exactly one container of this name on the device, with this image and, if given, this entry in its environment. */
async function onDevice(world: World, site: Site, name: string, image: string, env?: string): Promise<Missing> {
  const there = (await world.device(site).containers()).filter((container) => container.name === name);
  const [only] = there;
  const isRight =
    there.length === 1 && only?.imageRef === image && (env === undefined || only.config.env?.includes(env) === true);
  return isRight
    ? undefined
    : `one container ${name} of ${image}${env === undefined ? "" : ` with ${env}`} on ${site}; ${list(there)}`;
}

function list(there: readonly Truth[]): string {
  return there.length === 0
    ? "there is none"
    : `there is ${there.map(({ name, imageRef }) => `${name} of ${imageRef}`).join(", ")}`;
}

function tell(condition: { status: string; reason: string; message: string } | undefined): string {
  return condition === undefined
    ? "not reported yet"
    : `${condition.status} (${condition.reason}: ${condition.message})`;
}

async function patch(world: World, name: string, spec: Record<string, unknown>): Promise<void> {
  const json = JSON.stringify({ spec });
  await world.kubectl(
    ["patch", "edgecontainer", name, "--type=merge", "-p", json],
    `patch ec ${name} --type=merge -p '${json}'`,
  );
}

// The story that the demo tells: what is done in each step, and by what it is seen to have happened, through the Kubernetes API and on the
// device itself.

import { currentCondition } from "./board.ts";
import type { Truth } from "./device.ts";
import { Meter } from "./vendor.ts";
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

/** The EdgeBackend of each EdgeDevice. */
const BACKENDS = {
  berlin: "berlin",
  lyon: "lyon",
  porto: "porto",
  oslo: "alpon",
  "rig-1": "hiveon",
  mall: "mittwald",
} as const;

/** So long does Hiveon's meter stand before it counts as stopped: two minutes of rent at the demo's speed. */
const STILL_MS = 2000;
const meter = new Meter();

export const STEPS: readonly Step[] = [
  {
    title: "six devices connect",
    outcome: "berlin, lyon and porto (Kanto), oslo (ALPON), rig-1 (Hiveon) and mall (mittwald) are Connected",
    deadlineS: 60,
    act: async (world) => world.apply("devices.yaml"),
    missing: ({ board }) =>
      first(
        ...Object.entries(BACKENDS).map(([name, backendName]) => {
          const ready = currentCondition(board.devices.get(name), "Ready");
          const backend = currentCondition(board.backends.get(backendName), "Ready");
          const state = board.devices.get(name)?.status?.connection?.state;
          return ready?.status === "True" && state === "Connected"
            ? undefined
            : `EdgeDevice ${name} Ready=True, Connected; it is ${tell(ready)}, ${state ?? "unknown"}, its EdgeBackend ${tell(backend)}`;
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
  {
    title: "an ALPON device downloads and runs a container",
    outcome: "dashboard runs, exactly once, and its download was told in percent meanwhile",
    deadlineS: 90,
    act: async (world) => world.apply("alpon.yaml"),
    missing: async (world) => {
      const there = (await world.vendor("alpon").containers()).filter(({ name }) => name.startsWith("dashboard-"));
      const told = world.board.progress.get("dashboard") ?? [];
      return first(
        ready(world, "dashboard"),
        told.some((text) => /^Downloading \d+%$/.test(text))
          ? undefined
          : `status.progress of dashboard Downloading in percent; it was ${told.join(", ") || "never there"}`,
        there.length === 1 && there[0]?.image === "docker.io/library/nginx:1.27" && there[0].state === "Running"
          ? undefined
          : `one container dashboard running on oslo; its books have ${JSON.stringify(there)}`,
      );
    },
  },
  {
    title: "a machine is rented",
    outcome: "trainer runs on rig-1: one rental, and its meter runs",
    deadlineS: 90,
    act: async (world) => world.apply("hiveon.yaml"),
    missing: async (world) => {
      const rentals = await world.vendor("hiveon").rentals();
      const [only] = rentals;
      const lease = currentCondition(world.board.containers.get("trainer"), "LeaseActive");
      return first(
        ready(world, "trainer"),
        lease?.status === "True" ? undefined : `trainer LeaseActive=True; it is ${tell(lease)}`,
        rentals.length === 1 && only?.status === "STATUS_RUNNING" && only.rented && only.cost > 0
          ? undefined
          : `one running rental of rig-1 that costs; Hiveon's books have ${JSON.stringify(rentals)}`,
      );
    },
  },
  {
    title: "the rental is ended",
    outcome: "trainer is gone, rig-1 is given back, and its meter stands still",
    deadlineS: 60,
    act: async (world) => {
      await world.kubectl(["delete", "edgecontainer", "trainer", "--wait=false"], "delete ec trainer");
    },
    missing: async (world) => {
      const rentals = await world.vendor("hiveon").rentals();
      const [only] = rentals;
      const stillMs = meter.read(rentals.reduce((sum, { cost }) => sum + cost, 0));
      return first(
        world.board.containers.has("trainer") ? "EdgeContainer trainer gone; it is still there" : undefined,
        rentals.length === 1 && only?.status === "STATUS_STOPPED" && !only.rented
          ? undefined
          : `the one rental of rig-1 stopped and the machine given back; Hiveon's books have ${JSON.stringify(rentals)}`,
        stillMs >= STILL_MS ? undefined : `a meter that stands still; it moved ${Math.round(stillMs)} ms ago`,
      );
    },
  },
  {
    title: "a stack is made, its database first",
    outcome: "shop is Ready with 2/2 containers, in a stack of its own in mall's project",
    deadlineS: 90,
    act: async (world) => world.apply("stack.yaml"),
    missing: async (world) => {
      const stack = world.board.stacks.get("shop");
      const condition = currentCondition(stack, "Ready");
      const all = await world.vendor("mittwald").stacks();
      const own = all.filter(({ id, projectId }) => id !== projectId);
      return first(
        condition?.status === "True" ? undefined : `EdgeStack shop Ready=True; it is ${tell(condition)}`,
        own.length === 1 &&
          own[0]?.id === stack?.status?.external?.id &&
          own[0]?.containers.toSorted().join() === "db,web"
          ? undefined
          : `one stack with db and web beside the project's own; mittwald's books have ${JSON.stringify(all)}`,
      );
    },
  },
  {
    title: "the stack is removed",
    outcome:
      "shop is gone: its containers in reverse order, then its volume, then the stack; the project's own stack is as it was",
    deadlineS: 90,
    act: async (world) => {
      await world.kubectl(["delete", "edgestack", "shop", "--wait=false"], "delete est shop");
    },
    missing: async (world) => {
      const all = await world.vendor("mittwald").stacks();
      return first(
        world.board.stacks.has("shop") ? "EdgeStack shop gone; it is still there" : undefined,
        all.length === 1 && all[0]?.id === all[0]?.projectId
          ? undefined
          : `the project's own stack alone; mittwald's books have ${JSON.stringify(all)}`,
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

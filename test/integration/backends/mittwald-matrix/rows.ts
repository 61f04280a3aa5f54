/** What a user may want of a service on mittwald, and what is judged of it. */
import { createMittwaldBackend } from "../../../../src/backends/mittwald/index.ts";
import type { EdgeContainer } from "../../../../src/crds/edge-container.ts";
import { startMittwald, type MittwaldSimulator, type Operation } from "../../../../src/simulators/mittwald/index.ts";
import type { FakeClock } from "../../../support/fake-clock.ts";
import type { Ending, Row, Subject } from "../vendor-matrix/cell.ts";
import { NAME, SECRETS, Stage, type Vendor } from "../vendor-matrix/stage.ts";
import { standing } from "../vendor-matrix/standing.ts";

/** Declared by people, in the same stack. */
export const THEIRS = "theirs";

export interface Mittwald extends Vendor {
  readonly simulator: MittwaldSimulator;
  readonly stackId: string;
}

async function startVendor(clock: FakeClock): Promise<Mittwald> {
  const simulator = await startMittwald({ token: SECRETS.apiKey, clock });
  const [project] = simulator.platform.projects();
  if (project === undefined) throw new Error("no project");
  simulator.human.create(project.id, THEIRS, { image: "registry.example/theirs:1" });
  // Theirs runs before anybody of us looks.
  clock.advance(10_000);
  return {
    type: "mittwald",
    backend: createMittwaldBackend,
    backendSpec: { mittwald: { url: simulator.url } },
    deviceSpec: { mittwald: { projectId: project.id } },
    requests: () => simulator.requests(),
    stop: () => simulator.stop(),
    simulator,
    stackId: project.id,
  };
}

/** Most requests of an hour in which everything goes wrong; at rest there are about 12. */
const MOST_PER_HOUR = 400;

export const MITTWALD: Subject<Mittwald> = { open: () => Stage.open(startVendor), ending, mostPerHour: MOST_PER_HOUR };

function ending({ vendor, object }: Stage<Mittwald>): Ending {
  const { platform } = vendor.simulator;
  const containers = [...platform.stack(vendor.stackId).containers.values()];
  const ours = containers.filter(({ identity }) => identity.serviceName !== THEIRS);
  const { created, recreated, restarted, stopped, removed } = platform.effects.counts({ by: "api" });
  return {
    state: { services: ours.map((each) => shown(each.body())), object: standing(object) },
    effects: created + recreated + restarted + stopped + removed,
    theirs: containers.filter(({ identity }) => identity.serviceName === THEIRS).map((each) => shown(each.body())),
  };
}

/** Without what differs from run to run. */
function shown(body: object): object {
  const hidden = ["id", "shortId", "statusSetAt", "description"];
  return Object.fromEntries(Object.entries(body).filter(([key]) => !hidden.includes(key)));
}

const SPEC: Partial<EdgeContainer["spec"]> = {
  image: "registry.example/app:1",
  env: [{ name: "TOKEN", valueFrom: { secretKeyRef: { name: "app", key: "token" } } }],
  ports: [{ containerPort: 8080 }],
};

async function run(stage: Stage<Mittwald>): Promise<void> {
  stage.create(SPEC);
  stage.operator.wake();
  await stage.until(() => stage.isDone, "the service before");
  await stage.pass(60_000);
}

/** A request for this has come since. */
function hasCome(operation: Operation, times = 1): (vendor: Mittwald) => boolean {
  return ({ simulator }) => simulator.requests().filter((request) => request.operation === operation).length >= times;
}

export const ROWS: readonly Row<Mittwald>[] = [
  {
    name: "declare",
    effects: 1,
    before: async (stage) => stage.pass(60_000),
    wish: (stage) => stage.create(SPEC),
    isUnderWay: hasCome("update-stack"),
    requests: ["update-stack", "list-stacks"],
  },
  {
    name: "first contact and declare",
    effects: 1,
    before: async () => undefined,
    wish: (stage) => stage.create(SPEC),
    requests: ["list-self-stacks", "list-stacks", "get-stack", "get-container-image-config"],
  },
  {
    name: "update",
    effects: 2,
    before: run,
    wish: ({ cluster }) => cluster.edit(NAME, { spec: { image: "registry.example/app:2" } }),
    isUnderWay: hasCome("recreate-service"),
    requests: ["update-stack", "recreate-service", "get-stack"],
  },
  {
    name: "stop",
    effects: 2,
    before: run,
    wish: ({ cluster }) => cluster.edit(NAME, { spec: { desiredState: "Stopped" } }),
    isUnderWay: hasCome("stop-service"),
    requests: ["stop-service", "get-stack"],
  },
  {
    name: "restart",
    effects: 2,
    before: run,
    wish: ({ cluster }) => cluster.edit(NAME, { annotations: { "edge.drayage.dev/restartedAt": "2026-01-01" } }),
    isUnderWay: hasCome("restart-service"),
    requests: ["restart-service", "get-stack"],
  },
  {
    name: "delete",
    effects: 2,
    before: run,
    wish: ({ cluster, clock }) => cluster.delete(NAME, clock.now()),
    isUnderWay: hasCome("update-stack", 2),
    requests: ["update-stack", "list-stacks"],
  },
  { name: "watch", effects: 1, before: run, wish: () => undefined, isUnderWay: () => true, requests: ["list-stacks"] },
];

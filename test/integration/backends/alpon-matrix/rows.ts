/** What a user may want of a container on an ALPON, and what is judged of it. */
import type { EdgeContainer } from "../../../../src/crds/edge-container.ts";
import { createAlponBackend } from "../../../../src/backends/alpon/index.ts";
import {
  startAlpon,
  type AlponSimulator,
  type Container,
  type Device,
} from "../../../../src/simulators/alpon/index.ts";
import type { FakeClock } from "../../../support/fake-clock.ts";
import type { Ending, Row, Subject } from "../vendor-matrix/cell.ts";
import { SECRETS, Stage, type Vendor } from "../vendor-matrix/stage.ts";
import { standing } from "../vendor-matrix/standing.ts";

const ASSET = "A1";
/** Made by people, with their own tools. */
export const THEIRS = "theirs";
export const THEIR_IMAGE = "registry.example/theirs";
/** On the device, of ours. */
export const PORT = 30_080;

export interface Alpon extends Vendor {
  readonly simulator: AlponSimulator;
  readonly device: Device;
}

async function startVendor(clock: FakeClock): Promise<Alpon> {
  const simulator = await startAlpon({ assets: [{ serial: ASSET }], apiKey: SECRETS.apiKey, clock });
  const device = simulator.device(ASSET);
  // Theirs is there before anybody of us looks.
  const making = device.deploy({ name: THEIRS, image: `${THEIR_IMAGE}:1` }, () => undefined);
  while (device.busy) {
    clock.advance(1_000);
    await Promise.resolve();
  }
  await making;
  return {
    type: "alpon",
    backend: createAlponBackend,
    backendSpec: { alpon: { url: simulator.url } },
    deviceSpec: { alpon: { assetId: ASSET } },
    requests: () => simulator.requests(),
    stop: () => simulator.stop(),
    simulator,
    device,
  };
}

/** Most requests of an hour in which everything goes wrong; at rest there are about 24. */
const MOST_PER_HOUR = 400;

export const ALPON: Subject<Alpon> = {
  open: () => Stage.open(startVendor),
  ending,
  mostPerHour: MOST_PER_HOUR,
};

function ending({ vendor, object }: Stage<Alpon>): Ending {
  const { containers, made } = vendor.device;
  const ours = made.filter(isOurs);
  const updates = ours.reduce((sum, container) => sum + container.updates, 0);
  return {
    state: {
      containers: [...containers.values()].filter(isOurs).map(shown),
      object: standing(object),
    },
    effects: ours.length + updates,
    theirs: [...containers.values()].filter((each) => !isOurs(each)).map((each) => ({ ...each })),
  };
}

function isOurs({ image }: Container): boolean {
  return !image.startsWith(THEIR_IMAGE);
}

/** Without what differs from run to run. */
function shown({ name, image, environments, ports, volumes, hostNetwork, privileged, state }: Container): object {
  const { DRAYAGE_MARKER = "{}", ...variables } = environments;
  const { owner, namespace, uid } = JSON.parse(String(DRAYAGE_MARKER)) as Record<string, unknown>;
  const marker = { owner, namespace, uid };
  return { name, image, variables, marker, ports, volumes, hostNetwork, privileged, state };
}

const SPEC: Partial<EdgeContainer["spec"]> = {
  image: "registry.example/app:1",
  env: [{ name: "TOKEN", valueFrom: { secretKeyRef: { name: "app", key: "token" } } }],
  ports: [{ containerPort: 80, hostPort: PORT }],
};

const nothing = (): void => undefined;

async function run(stage: Stage<Alpon>): Promise<void> {
  stage.create(SPEC);
  stage.operator.wake();
  await stage.until(() => stage.isDone, "the container before");
  await stage.pass(60_000);
}

/** A request of this kind has come since. */
function hasCome(kind: "delete"): (vendor: Alpon) => boolean {
  return ({ simulator }) => simulator.requests().some((request) => request.kind === kind);
}

export const ROWS: readonly Row<Alpon>[] = [
  {
    name: "deploy",
    effects: 1,
    before: async (stage) => stage.pass(60_000),
    wish: (stage) => stage.create(SPEC),
    isUnderWay: ({ device }) => device.busy,
    requests: ["deploy", "list", "status"],
  },
  {
    name: "first contact and deploy",
    effects: 1,
    before: async () => undefined,
    wish: (stage) => stage.create(SPEC),
    requests: ["assets", "asset"],
  },
  {
    name: "update",
    effects: 2,
    before: run,
    wish: ({ cluster }) =>
      cluster.edit("web", {
        spec: { image: "registry.example/app:2", env: [...(SPEC.env ?? []), { name: "LEVEL", value: "high" }] },
      }),
    isUnderWay: ({ device }) => device.busy,
    requests: ["update", "list", "status"],
  },
  {
    name: "stop",
    effects: 1,
    before: run,
    wish: ({ cluster }) => cluster.edit("web", { spec: { desiredState: "Stopped" } }),
    isUnderWay: hasCome("delete"),
    requests: ["delete", "list", "status"],
  },
  {
    name: "restart",
    effects: 2,
    before: run,
    wish: ({ cluster }) => cluster.edit("web", { annotations: { "edge.drayage.dev/restartedAt": "2026-01-01" } }),
    isUnderWay: hasCome("delete"),
    requests: ["delete", "deploy", "list", "status"],
  },
  {
    name: "delete",
    effects: 1,
    before: run,
    wish: ({ cluster, clock }) => cluster.delete("web", clock.now()),
    isUnderWay: hasCome("delete"),
    requests: ["delete", "list", "status"],
  },
  { name: "watch", effects: 1, before: run, wish: nothing, isUnderWay: () => true, requests: ["list", "status"] },
];

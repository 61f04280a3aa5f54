/** What a user may want of a rented machine, and what is judged of it. */
import { createHiveonBackend } from "../../../../src/backends/hiveon/index.ts";
import type { EdgeContainer } from "../../../../src/crds/edge-container.ts";
import { startHiveon, type HiveonSimulator, type Rental } from "../../../../src/simulators/hiveon/index.ts";
import type { FakeClock } from "../../../support/fake-clock.ts";
import { mostAtOnce, rentalsOf } from "../../../support/hiveon-world.ts";
import type { Ending, Row, Subject } from "../vendor-matrix/cell.ts";
import { NAME, SECRETS, Stage, type Vendor } from "../vendor-matrix/stage.ts";
import { standing } from "../vendor-matrix/standing.ts";

export const MACHINE = "rig-1";
/** Rented by people, by their own means. */
export const THEIR_MACHINE = "rig-2";

export interface Hiveon extends Vendor {
  readonly simulator: HiveonSimulator;
}

async function startVendor(clock: FakeClock): Promise<Hiveon> {
  const simulator = await startHiveon({
    // A second rental beside the first would be let through, so that it shows in the books.
    machines: [{ id: MACHINE, slots: 9 }, { id: THEIR_MACHINE }],
    apiKey: SECRETS.apiKey,
    clock,
    seed: "matrix",
    startMs: 20_000,
    stopMs: 10_000,
  });
  rentByHand(simulator);
  return {
    type: "hiveon",
    backend: createHiveonBackend,
    backendSpec: { hiveon: { url: simulator.url } },
    deviceSpec: { hiveon: { machineId: MACHINE, machinePriceId: `${MACHINE}-price` } },
    requests: () => simulator.requests(),
    stop: () => simulator.stop(),
    simulator,
  };
}

/** People rent their machine, with an id of their own. */
export function rentByHand({ platform }: HiveonSimulator): void {
  const { status } = platform.start({
    machine_id: THEIR_MACHINE,
    machine_price_id: `${THEIR_MACHINE}-price`,
    external_deployment_id: "by-hand",
    container_config: { image: "registry.example/theirs:1" },
  });
  if (status !== 200) throw new Error("their machine cannot be rented");
}

/** Most requests of an hour in which everything goes wrong; at rest there are about six. */
const MOST_PER_HOUR = 400;

export const HIVEON: Subject<Hiveon> = {
  open: () => Stage.open(startVendor),
  ending,
  invariant: ({ vendor }) => {
    const most = mostAtOnce(ours(vendor));
    if (most > 1) throw new Error(`${most} rentals at a time`);
  },
  mostPerHour: MOST_PER_HOUR,
};

export const ours = ({ simulator }: Hiveon): Rental[] => rentalsOf(simulator, NAME);
/** What costs money now. */
export const running = (vendor: Hiveon): Rental[] => ours(vendor).filter(({ rented }) => rented);

function ending({ vendor, object }: Stage<Hiveon>): Ending {
  const theirs = vendor.simulator.rentals().filter(({ machineId }) => machineId === THEIR_MACHINE);
  return {
    state: {
      rented: running(vendor).map(({ machineId, priceId, image, status, request }) => {
        const { container_config: config } = request;
        return { machineId, priceId, image, status, config };
      }),
      object: standing(object),
    },
    effects: ours(vendor).length,
    theirs: theirs.map(({ deploymentId, status, rented, stops }) => ({ deploymentId, status, rented, stops })),
  };
}

const SPEC: Partial<EdgeContainer["spec"]> = {
  image: "registry.example/app:1",
  env: [{ name: "TOKEN", valueFrom: { secretKeyRef: { name: "app", key: "token" } } }],
  imagePullSecrets: [{ name: "registry" }],
  ports: [{ containerPort: 8080, hostPort: 8080 }],
  backendOptions: { hiveon: { reRent: "Always" } },
};

async function rent(stage: Stage<Hiveon>): Promise<void> {
  stage.create(SPEC);
  stage.operator.wake();
  await stage.until(() => stage.isDone, "the rental before");
  await stage.pass(60_000);
}

/** A request of this kind has come since. */
function hasCome(kind: "start" | "stop"): (vendor: Hiveon) => boolean {
  return ({ simulator }) => simulator.requests().some((request) => request.kind === kind);
}

export const ROWS: readonly Row<Hiveon>[] = [
  {
    name: "rent",
    effects: 1,
    before: async (stage) => stage.pass(60_000),
    wish: (stage) => stage.create(SPEC),
    isUnderWay: hasCome("start"),
    requests: ["start", "status"],
  },
  {
    name: "rent another one for a changed spec",
    effects: 2,
    before: rent,
    wish: ({ cluster }) => cluster.edit(NAME, { spec: { image: "registry.example/app:2" } }),
    isUnderWay: hasCome("stop"),
    requests: ["stop", "start", "status"],
  },
  {
    name: "restart",
    effects: 2,
    before: rent,
    wish: ({ cluster }) => cluster.edit(NAME, { annotations: { "edge.drayage.dev/restartedAt": "2026-01-01" } }),
    isUnderWay: hasCome("stop"),
    requests: ["stop", "start"],
  },
  {
    name: "stop",
    effects: 1,
    before: rent,
    wish: ({ cluster }) => cluster.edit(NAME, { spec: { desiredState: "Stopped" } }),
    isUnderWay: hasCome("stop"),
    requests: ["stop", "status"],
  },
  {
    name: "delete",
    effects: 1,
    before: rent,
    wish: ({ cluster, clock }) => cluster.delete(NAME, clock.now()),
    isUnderWay: hasCome("stop"),
    requests: ["stop", "status"],
  },
  { name: "watch", effects: 1, before: rent, wish: () => undefined, isUnderWay: () => true, requests: ["status"] },
];

/** Hiveon in end-to-end tests: the simulated vendor, its machines as EdgeDevices of a World, and the books that the tests judge by. */
import type { EdgeContainerSpec } from "../../src/crds/edge-container.ts";
import {
  startHiveon,
  type HiveonOptions,
  type HiveonSimulator,
  type Rental,
} from "../../src/simulators/hiveon/index.ts";
import { startHttpFaultProxy, type HttpFaultProxy } from "../faults/http-proxy.ts";
import type { World } from "./world.ts";

export const API_KEY = "hiveon-key";

/** The vendor, and the EdgeBackend and EdgeDevices that lead to it. */
export interface Vendor extends AsyncDisposable {
  simulator: HiveonSimulator;
  /** Stands between the operator and the vendor. */
  proxy: HttpFaultProxy;
  /** Makes the EdgeBackend, its Secret and the EdgeDevices; again after the API server has lost everything. */
  apply(): Promise<void>;
}

/** @param machines ids; each becomes an EdgeDevice of that name. Each takes nine rentals, so that a second one would show in the books. */
export async function startVendor(
  world: World,
  machines: readonly string[],
  options: Partial<HiveonOptions> = {},
): Promise<Vendor> {
  const simulator = await startHiveon({
    startMs: 100,
    stopMs: 100,
    machines: machines.map((id) => ({ id, slots: 9 })),
    ...options,
  });
  const proxy = await startHttpFaultProxy({ upstream: simulator.url });
  const vendor: Vendor = {
    simulator,
    proxy,
    apply: async () => {
      await world.admin.create(`/api/v1/namespaces/${world.namespace}/secrets`, {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: "hiveon" },
        stringData: { apiKey: API_KEY },
      });
      await world.create("edgebackends", "hiveon", {
        hiveon: { url: proxy.url },
        credentialsSecretRef: { name: "hiveon" },
        rateLimit: { requestsPerSecond: 500, burst: 500, concurrency: 8 },
        observeIntervalSeconds: 1,
        commandTimeoutSeconds: 3,
        createTimeoutSeconds: 5,
        deletion: { graceSeconds: 1 },
      });
      for (const machine of machines)
        await world.create("edgedevices", machine, {
          backendRef: { name: "hiveon" },
          hiveon: { machineId: machine, machinePriceId: `${machine}-price` },
          deletion: { graceSeconds: 1 },
        });
    },
    async [Symbol.asyncDispose]() {
      await proxy.close();
      await simulator.stop();
    },
  };
  await vendor.apply();
  return vendor;
}

/** An EdgeContainer on a machine, quick to be Ready. */
export function rentalSpec(machine: string, spec: Partial<EdgeContainerSpec> = {}): EdgeContainerSpec {
  return {
    deviceRef: { name: machine },
    image: "registry.example/app:1",
    updateStrategy: { minReadySeconds: 0 },
    backoff: { initialSeconds: 1, maxSeconds: 2 },
    ...spec,
  };
}

/** The rentals of an object, by the mark that it carries. */
export function rentalsOf(simulator: HiveonSimulator, name: string): Rental[] {
  return simulator.rentals().filter(({ request }) => metadataOf(request)["drayage_name"] === name);
}

/** How many rentals of an object cost money at the same time, at most. */
export function mostAtOnce(rentals: readonly Rental[]): number {
  const moments = rentals
    .flatMap(({ beganAt, endedAt }) => [
      { at: beganAt, step: 1 },
      ...(endedAt === undefined ? [] : [{ at: endedAt, step: -1 }]),
    ])
    .sort((a, b) => a.at - b.at);
  let now = 0;
  let most = 0;
  for (const { step } of moments) {
    now += step;
    most = Math.max(most, now);
  }
  return most;
}

function metadataOf(request: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { metadata } = request;
  return typeof metadata === "object" && metadata !== null ? (metadata as Record<string, unknown>) : {};
}

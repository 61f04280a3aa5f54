/** ALPON in end-to-end tests: the simulated vendor, its devices as EdgeDevices of a World. */
import type { EdgeContainerSpec } from "../../src/crds/edge-container.ts";
import { startAlpon, type AlponOptions, type AlponSimulator } from "../../src/simulators/alpon/index.ts";
import { startHttpFaultProxy, type HttpFaultProxy } from "../faults/http-proxy.ts";
import type { World } from "./world.ts";

export interface AlponVendor extends AsyncDisposable {
  simulator: AlponSimulator;
  /** Stands between the operator and the vendor. */
  proxy: HttpFaultProxy;
}

/** @param assets serial numbers; each becomes an EdgeDevice of that name. */
export async function startAlponVendor(
  world: World,
  assets: readonly string[],
  options: Partial<AlponOptions> = {},
): Promise<AlponVendor> {
  const simulator = await startAlpon({ stepMs: 20, assets: assets.map((serial) => ({ serial })), ...options });
  const proxy = await startHttpFaultProxy({ upstream: new URL(simulator.url).origin });
  await world.admin.create(`/api/v1/namespaces/${world.namespace}/secrets`, {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "alpon" },
    stringData: { apiKey: "alpon-key" },
  });
  await world.create("edgebackends", "alpon", {
    alpon: { url: `${proxy.url}/v1` },
    credentialsSecretRef: { name: "alpon" },
    rateLimit: { requestsPerSecond: 500, burst: 500, concurrency: 8 },
    observeIntervalSeconds: 1,
    commandTimeoutSeconds: 2,
    createTimeoutSeconds: 10,
  });
  for (const serial of assets)
    await world.create("edgedevices", serial, {
      backendRef: { name: "alpon" },
      alpon: { assetId: serial },
      deletion: { graceSeconds: 5 },
    });
  return {
    simulator,
    proxy,
    async [Symbol.asyncDispose]() {
      await proxy.close();
      await simulator.stop();
    },
  };
}

/** An EdgeContainer on a device, quick to be Ready. */
export function alponSpec(device: string, spec: Partial<EdgeContainerSpec> = {}): EdgeContainerSpec {
  return {
    deviceRef: { name: device },
    image: "registry.example/app:1",
    updateStrategy: { minReadySeconds: 0 },
    backoff: { initialSeconds: 1, maxSeconds: 2 },
    ...spec,
  };
}

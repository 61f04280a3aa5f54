/** mittwald in end-to-end tests: the simulated vendor, and a project's default stack as an EdgeDevice of a World. */
import type { EdgeContainerSpec } from "../../src/crds/edge-container.ts";
import { startMittwald, type MittwaldOptions, type MittwaldSimulator } from "../../src/simulators/mittwald/index.ts";
import { startHttpFaultProxy, type HttpFaultProxy } from "../faults/http-proxy.ts";
import type { World } from "./world.ts";

export const TOKEN = "mittwald-token";

export interface MittwaldVendor extends AsyncDisposable {
  simulator: MittwaldSimulator;
  /** The first project; its default stack has the same id. */
  projectId: string;
  /** Stands between the operator and the vendor. */
  proxy: HttpFaultProxy;
}

/** Makes the Secret, the EdgeBackend `mittwald` and the EdgeDevice `site` too. */
export async function startMittwaldVendor(
  world: World,
  options: MittwaldOptions = {},
  backend: object = {},
): Promise<MittwaldVendor> {
  const simulator = await startMittwald({ pullMs: 20, startMs: 20, stopMs: 20, pullRetryMs: 100, ...options });
  const projectId = simulator.platform.projects()[0]?.id ?? "";
  const proxy = await startHttpFaultProxy({ upstream: simulator.url });
  await world.admin.create(`/api/v1/namespaces/${world.namespace}/secrets`, {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "mittwald" },
    stringData: { token: TOKEN },
  });
  await world.create("edgebackends", "mittwald", {
    mittwald: { url: proxy.url },
    credentialsSecretRef: { name: "mittwald" },
    rateLimit: { requestsPerSecond: 500, burst: 500, concurrency: 8 },
    observeIntervalSeconds: 1,
    commandTimeoutSeconds: 3,
    createTimeoutSeconds: 20,
    deletion: { graceSeconds: 5 },
    ...backend,
  });
  await world.create("edgedevices", "site", {
    backendRef: { name: "mittwald" },
    mittwald: { projectId },
    deletion: { graceSeconds: 5 },
  });
  return {
    simulator,
    projectId,
    proxy,
    async [Symbol.asyncDispose]() {
      await proxy.close();
      await simulator.stop();
    },
  };
}

/** An EdgeContainer on the project's default stack, quick to be Ready. */
export function serviceSpec(spec: Partial<EdgeContainerSpec> = {}): EdgeContainerSpec {
  return {
    deviceRef: { name: "site" },
    image: "registry.example/app:1",
    updateStrategy: { minReadySeconds: 0 },
    backoff: { initialSeconds: 1, maxSeconds: 2 },
    ...spec,
  };
}

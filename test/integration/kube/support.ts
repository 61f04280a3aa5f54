/** What the tests of src/kube share: a namespace of their own, a client that goes straight, and one through the fault proxy. */

import { onTestFinished } from "vitest";
import { KubeClient, type KubeClientOptions } from "../../../src/kube/client.ts";
import { loadClusterAccess } from "../../../src/kube/config.ts";
import { Reflector, type ReflectorOptions } from "../../../src/kube/reflector.ts";
import type { Resource } from "../../../src/kube/resource.ts";
import type { KubeObject } from "../../../src/kube/types.ts";
import { temporaryFile } from "../../support/temporary-file.ts";
import { startHttpFaultProxy, type HttpFaultProxy } from "../../faults/http-proxy.ts";

export interface ConfigMap extends KubeObject {
  data?: Record<string, string>;
}

export const CONFIG_MAPS: Resource<ConfigMap> = {
  group: "",
  version: "v1",
  plural: "configmaps",
  kind: "ConfigMap",
  namespaced: true,
};
export const NAMESPACES: Resource = {
  group: "",
  version: "v1",
  plural: "namespaces",
  kind: "Namespace",
  namespaced: false,
};

export interface ThroughOptions extends Partial<KubeClientOptions> {
  /** Called when a request begins; `onRequest` tells when it is over. */
  onBegin?: () => void;
}

export interface Setting {
  /** A namespace of this test alone. */
  namespace: string;
  /** Goes straight to the API server. */
  direct: KubeClient;
  proxy: HttpFaultProxy;
  /** A client that goes through the proxy. */
  through: (options?: ThroughOptions) => Promise<KubeClient>;
  /** Creates a ConfigMap, straight. */
  put: (name: string, value: string) => Promise<ConfigMap>;
}

/** A namespace, a straight client and a proxy, taken down when the test ends. */
export async function setting(controlPlane: { kubeconfig: string; server: string; ca: string }): Promise<Setting> {
  const access = await loadClusterAccess({ kubeconfig: controlPlane.kubeconfig, env: {} });
  const direct = new KubeClient({ access });
  onTestFinished(() => direct.close());
  const made = await direct.create(NAMESPACES, { metadata: { generateName: "kube-test-" } });
  const namespace = made.metadata.name;
  const { cert = "", key = "" } = access.tls;
  const proxy = await startHttpFaultProxy({ upstream: controlPlane.server, ca: controlPlane.ca, cert, key });
  onTestFinished(() => proxy.close());
  return {
    namespace,
    direct,
    proxy,
    async through(options = {}) {
      const path = await temporaryFile("kubeconfig", proxy.kubeconfig({ namespace }));
      const access = await loadClusterAccess({ kubeconfig: path, env: {} });
      const { onBegin, ...rest } = options;
      // Credentials are the first thing that each request asks for.
      const authHeader = (): Promise<string | undefined> => {
        onBegin?.();
        return access.authHeader();
      };
      const client = new KubeClient({ access: { ...access, tls: access.tls, authHeader }, ...rest });
      onTestFinished(() => client.close());
      return client;
    },
    async put(name, value) {
      const body = { apiVersion: "v1", kind: "ConfigMap", metadata: { name }, data: { value } };
      return direct.patch(CONFIG_MAPS, { namespace, name }, { type: "apply", body, force: true });
    },
  };
}

export interface Following {
  reflector: Reflector<ConfigMap>;
  /** `added a=1`, `updated a=2`, `deleted a=2`, with "!" for initial ones; in order. */
  events: string[];
  failures: unknown[];
  /** name=value of all objects in the store, sorted. */
  content: () => string[];
}

/** Times short enough for a test that waits for real ones; their relations are those of the defaults. */
export const SHORT = {
  backoffMinMs: 20,
  backoffMaxMs: 200,
  unreachableMaxMs: 100,
  healthyResetMs: 60_000,
  silenceMs: 2_000,
  watchMinSeconds: 300,
};

/** Runs a reflector of the ConfigMaps of a namespace until the test ends. */
export function follow(
  client: KubeClient,
  namespace: string,
  options: Partial<ReflectorOptions<ConfigMap>> = {},
): Following {
  const failures: unknown[] = [];
  const reflector = new Reflector<ConfigMap>({
    client,
    resource: CONFIG_MAPS,
    namespace,
    times: SHORT,
    onFailure: (error) => failures.push(error),
    ...options,
  });
  const events: string[] = [];
  const text = (object: ConfigMap): string => `${object.metadata.name}=${object.data?.value ?? ""}`;
  reflector.store.onEvent(({ type, object, initial }) => {
    if (object.metadata.name !== "kube-root-ca.crt") {
      events.push(`${type}${initial ? "!" : ""} ${text(object)}`);
    }
  });
  const stop = new AbortController();
  const running = reflector.run(stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await running;
  });
  return {
    reflector,
    events,
    failures,
    content: () =>
      reflector.store
        .list()
        .filter((object) => object.metadata.name !== "kube-root-ca.crt")
        .map(text)
        .sort(),
  };
}

import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { inject } from "vitest";
import { Expectations } from "../../../src/controller/expectations.ts";
import { StatusWriter, type StatusWriterOptions } from "../../../src/controller/status-writer.ts";
import type { EdgeContainer } from "../../../src/crds/edge-container.ts";
import { GROUP, KINDS, VERSION } from "../../../src/crds/group.ts";
import { KubeClient } from "../../../src/kube/client.ts";
import { systemClock } from "../../../src/kube/clock.ts";
import { loadClusterAccess } from "../../../src/kube/config.ts";
import type { Resource } from "../../../src/kube/resource.ts";
import { type ApiAccess, attach } from "../../controlplane/access.ts";

export const CONTAINERS: Resource<EdgeContainer> = {
  group: GROUP,
  version: VERSION,
  plural: KINDS.EdgeContainer.plural,
  kind: KINDS.EdgeContainer.kind,
  namespaced: true,
};

/** A client, a namespace of its own and the objects that a status write needs, against the control plane of the run. */
export class World implements AsyncDisposable {
  readonly api: ApiAccess;
  readonly client: KubeClient;
  readonly namespace: string;
  readonly expectations = new Expectations({ clock: systemClock });
  /** Methods and paths of all requests sent by `client`. */
  readonly requests: string[];

  private constructor(api: ApiAccess, client: KubeClient, namespace: string, requests: string[]) {
    this.api = api;
    this.client = client;
    this.namespace = namespace;
    this.requests = requests;
  }

  static async create(): Promise<World> {
    const facts = inject("controlPlane");
    const api = await attach(facts);
    const namespace = `controller-${randomUUID().slice(0, 8)}`;
    await api.request("POST", "/api/v1/namespaces", { body: { metadata: { name: namespace } } });
    const requests: string[] = [];
    const client = new KubeClient({
      access: await loadClusterAccess({ kubeconfig: facts.kubeconfig, env: {} }),
      onRequest: ({ method, resource, code }) => requests.push(`${method} ${resource} ${code}`),
    });
    return new World(api, client, namespace, requests);
  }

  statusWriter(options: Partial<StatusWriterOptions> = {}): StatusWriter {
    return new StatusWriter({ client: this.client, expectations: this.expectations, clock: systemClock, ...options });
  }

  createContainer(name: string): Promise<EdgeContainer> {
    return this.client.create(CONTAINERS, {
      metadata: { namespace: this.namespace, name },
      spec: { deviceRef: { name: "device" }, image: "docker.io/library/nginx:1" },
    });
  }

  get(name: string): Promise<EdgeContainer> {
    return this.client.get(CONTAINERS, { namespace: this.namespace, name });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
  }
}

/** Waits until something holds. The deadline only guards against a hang. */
export async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const deadline = performance.now() + 60_000; performance.now() < deadline; await delay(10)) {
    if (await holds()) return;
  }
  throw new Error(`never came: ${what}`);
}

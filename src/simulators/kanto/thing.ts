// The containers thing as the daemon keeps it for one identity: which features it has, who handles their operations, and the loops that turn
// container events into twin commands. Each feature has its own loop, and each loop waits for the broker's acknowledgement before its next
// message; so a response may overtake the events of its own operation, and a feature can be commanded only once its publication is
// acknowledged. Source: things/client/thing.go, containerm/things/features_*.go, things_containers_service_internal.go.

import type { Envelope } from "./twin.ts";
import {
  containerFeature,
  containerFeatureValue,
  definitions,
  features,
  twinCommand,
  twinConfig,
  twinState,
} from "./twin.ts";
import type { Container, ContainerEvent } from "./types.ts";

/** Executes an operation of a feature. Returns the response value, undefined for an empty one. */
export type OperationHandler = (operation: string, value: unknown) => Promise<unknown>;

/** A feature whose handler is undefined was replaced by an echoed twin event and can do nothing until it is registered anew. */
export type FeatureRegistry = Map<string, OperationHandler | undefined>;

export interface ThingOptions {
  id: string;
  /** Publishes on the thing's event topic and waits for the acknowledgement. */
  publish: (envelope: Envelope) => Promise<void>;
  list: () => Container[];
  /** Ids whose features were published before, on disk; what is gone is deleted at the next registration. */
  published: Set<string>;
  handlers: {
    container: (id: string) => OperationHandler;
    factory: OperationHandler;
    softwareUpdatable: OperationHandler;
    /** Undefined where the daemon's configuration leaves the feature out. */
    metrics: OperationHandler | undefined;
  };
  /** Puts the three groups of features into the order in which they are registered; the daemon has none. */
  order: <T>(groups: readonly T[]) => T[];
  /** An event could not be published (15 s): the daemon logs and drops it. A Panic ends the process. */
  onError: (error: unknown) => void;
}

/** Events handled one after another; disposed, it handles no more. */
class EventLoop {
  readonly #handle: (event: ContainerEvent) => Promise<void>;
  readonly #onError: (error: unknown) => void;
  #tail: Promise<void> = Promise.resolve();
  #disposed = false;

  constructor(handle: (event: ContainerEvent) => Promise<void>, onError: (error: unknown) => void) {
    this.#handle = handle;
    this.#onError = onError;
  }

  push(event: ContainerEvent): void {
    this.#tail = this.#tail.then(async () => (this.#disposed ? undefined : this.#handle(event))).catch(this.#onError);
  }

  dispose(): void {
    this.#disposed = true;
  }

  async idle(): Promise<void> {
    await this.#tail;
  }
}

export interface Dependency {
  group: string;
  name: string;
  version: string;
}

/** How SoftwareUpdatable lists a container: its image reference cut at the first colon. */
export function dependency(container: Pick<Container, "id" | "imageRef">): { key: string; value: Dependency } {
  const colon = container.imageRef.indexOf(":");
  const [group, version] =
    colon < 0 ? [container.imageRef, ""] : [container.imageRef.slice(0, colon), container.imageRef.slice(colon + 1)];
  return {
    key: `${group}.${container.id}:${version}`.replaceAll("/", "%2F"),
    value: { group, name: container.id, version },
  };
}

export class Thing {
  readonly id: string;
  readonly registry: FeatureRegistry = new Map();
  readonly #options: ThingOptions;
  readonly #loops: EventLoop[] = [];
  /** Undefined when empty, as the daemon drops an empty map. */
  #dependencies: Record<string, Dependency> | undefined;
  #disposed = false;

  constructor(options: ThingOptions) {
    this.id = options.id;
    this.#options = options;
  }

  /** Publishes and registers everything. Events of containers between the listing and the subscription are lost, as in the daemon. */
  async register(): Promise<void> {
    const { order } = this.#options;
    const groups = [
      () => this.#registerFactory(),
      () => this.#registerSoftwareUpdatable(),
      () => this.#registerMetrics(),
    ];
    for (const group of order(groups)) {
      try {
        await group();
      } catch (error) {
        this.#options.onError(error);
      }
    }
  }

  /** Stops following the containers: another identity, or policy, takes over. */
  dispose(): void {
    this.#disposed = true;
    for (const loop of this.#loops) {
      loop.dispose();
    }
  }

  event(event: ContainerEvent): void {
    for (const loop of this.#loops) {
      loop.push(event);
    }
  }

  /** All events so far were handled. */
  async idle(): Promise<void> {
    await Promise.all(this.#loops.map(async (loop) => loop.idle()));
  }

  /** Publishes a property of a feature. */
  async setProperty(feature: string, path: string, value: unknown): Promise<void> {
    await this.#options.publish(twinCommand(this.id, "modify", `/features/${feature}/properties/${path}`, value));
  }

  async #registerFactory(): Promise<void> {
    const { list, published, onError } = this.#options;
    const stale = new Set(published);
    published.clear();
    for (const container of list()) {
      stale.delete(container.id);
      try {
        await this.#setContainer(container);
        published.add(container.id);
      } catch (error) {
        onError(error);
      }
    }
    for (const id of stale) {
      await this.#removeFeature(containerFeature(id)).catch(onError);
    }
    this.#follow(async (event) => this.#containerEvent(event));
    await this.#setFeature(features.factory, { definition: [definitions.factory] }, this.#options.handlers.factory);
  }

  async #registerSoftwareUpdatable(): Promise<void> {
    const entries = this.#options.list().map((container) => dependency(container));
    this.#dependencies =
      entries.length === 0 ? undefined : Object.fromEntries(entries.map(({ key, value }) => [key, value]));
    this.#follow(async (event) => this.#dependencyEvent(event));
    const status = {
      softwareModuleType: "oci:container",
      ...(this.#dependencies ? { installedDependencies: { ...this.#dependencies } } : {}),
    };
    const value = { definition: [definitions.softwareUpdatable], properties: { status } };
    await this.#setFeature(features.softwareUpdatable, value, this.#options.handlers.softwareUpdatable);
  }

  async #registerMetrics(): Promise<void> {
    const { metrics } = this.#options.handlers;
    if (metrics) {
      await this.#setFeature(features.metrics, { definition: [definitions.metrics] }, metrics);
    }
  }

  #follow(handle: (event: ContainerEvent) => Promise<void>): void {
    if (!this.#disposed) {
      this.#loops.push(new EventLoop(handle, this.#options.onError));
    }
  }

  /** The container is the live record: an event is written with what is true when its turn comes. */
  async #containerEvent({ action, container }: ContainerEvent): Promise<void> {
    const feature = containerFeature(container.id);
    const state = async (): Promise<void> => this.setProperty(feature, "status/state", twinState(container.state));
    switch (action) {
      case "created":
        await this.#setContainer(container).catch(this.#options.onError);
        this.#options.published.add(container.id);
        await state();
        break;
      case "removed":
        await state().catch(this.#options.onError);
        await this.#removeFeature(feature);
        this.#options.published.delete(container.id);
        break;
      case "renamed":
        await this.setProperty(feature, "status/name", container.name);
        break;
      case "updated":
        await this.setProperty(feature, "status/config", twinConfig(container.config));
        break;
      case "running":
      case "stopped":
      case "exited":
      case "paused":
      case "resumed":
        await state();
        break;
      default:
        action satisfies never;
    }
  }

  async #dependencyEvent({ action, container }: ContainerEvent): Promise<void> {
    const { key, value } = dependency(container);
    if (action === "created") {
      this.#dependencies = { ...this.#dependencies, [key]: value };
    } else if (action === "removed" && this.#dependencies) {
      const { [key]: _removed, ...rest } = this.#dependencies;
      this.#dependencies = Object.keys(rest).length === 0 ? undefined : rest;
    } else {
      return;
    }
    await this.setProperty(features.softwareUpdatable, "status/installedDependencies", this.#dependencies ?? null);
  }

  async #setContainer(container: Container): Promise<void> {
    const handler = this.#options.handlers.container(container.id);
    await this.#setFeature(containerFeature(container.id), containerFeatureValue(container), handler);
  }

  async #setFeature(feature: string, value: unknown, handler: OperationHandler): Promise<void> {
    await this.#options.publish(twinCommand(this.id, "modify", `/features/${feature}`, value));
    this.registry.set(feature, handler);
  }

  async #removeFeature(feature: string): Promise<void> {
    await this.#options.publish(twinCommand(this.id, "delete", `/features/${feature}`));
    this.registry.delete(feature);
  }
}

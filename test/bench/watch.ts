/** A bare watcher: undici, one line per event, and what the benchmarks wait for. It shares nothing with src/kube. */
import { readFileSync } from "node:fs";
import { Agent, request } from "undici";
import type { EdgeContainer } from "../../src/crds/edge-container.ts";
import { conditionOf } from "../support/world.ts";
import type { Rig } from "./rig.ts";
import { guarded } from "./waiting.ts";

interface Waiting {
  readonly names: Set<string>;
  readonly holds: (object: EdgeContainer) => boolean;
  readonly resolve: () => void;
}

/** Follows all EdgeContainers of a rig. */
export class ContainerWatch implements AsyncDisposable {
  /** As last seen, by name. */
  readonly objects = new Map<string, EdgeContainer>();
  /** Called with each object as its event arrives. */
  onEvent: (object: EdgeContainer) => void = () => undefined;
  /** How often the server ended the watch, as it does with readers that it finds slow; it goes on where it was. */
  interruptions = 0;
  readonly #rig: Rig;
  readonly #agent: Agent;
  readonly #closing = new AbortController();
  #resourceVersion = "";
  #waiting: Waiting | undefined;
  #broken: Error | undefined;

  private constructor(rig: Rig) {
    this.#rig = rig;
    this.#agent = new Agent({ connect: { ca: rig.controlPlane.ca }, allowH2: false, bodyTimeout: 0 });
  }

  /** Begins with what is there. */
  static async open(rig: Rig): Promise<ContainerWatch> {
    const watch = new ContainerWatch(rig);
    const list = await rig.admin.get<{ metadata: { resourceVersion: string }; items: EdgeContainer[] }>(
      rig.path("edgecontainers"),
    );
    for (const object of list.body.items) watch.objects.set(object.metadata.name, object);
    watch.#resourceVersion = list.body.metadata.resourceVersion;
    void watch.#follow();
    return watch;
  }

  /** Waits until something holds of each of these objects, as events tell; what holds already counts. */
  async all(names: Iterable<string>, holds: (object: EdgeContainer) => boolean, what: string): Promise<void> {
    const open = new Set<string>();
    for (const name of names) {
      const object = this.objects.get(name);
      if (object === undefined || !holds(object)) open.add(name);
    }
    if (open.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting = { names: open, holds, resolve };
    await guarded(
      promise,
      () => open.size,
      () => {
        const [first = ""] = open;
        const reason = this.#broken === undefined ? "" : ` (the watch broke: ${this.#broken.message})`;
        return `${what}: ${open.size} left${reason}; ${first} is ${JSON.stringify(this.objects.get(first)?.status)}`;
      },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#agent.destroy();
  }

  async #follow(): Promise<void> {
    try {
      for (;;) {
        await this.#read();
        this.interruptions += 1;
      }
    } catch (error) {
      if (!this.#closing.signal.aborted) this.#broken = error instanceof Error ? error : new Error(String(error));
    }
  }

  /** One watch request, until the server ends it. */
  async #read(): Promise<void> {
    const { controlPlane, tokenFile } = this.#rig;
    const token = readFileSync(tokenFile, "utf8").trim();
    const query = `watch=1&resourceVersion=${this.#resourceVersion}&timeoutSeconds=3600`;
    const response = await request(`${controlPlane.server}${this.#rig.path("edgecontainers")}?${query}`, {
      dispatcher: this.#agent,
      headers: { accept: "application/json", authorization: `Bearer ${token}` },
      signal: this.#closing.signal,
    });
    if (response.statusCode !== 200) throw new Error(`the watch was answered with ${response.statusCode}`);
    let rest = "";
    for await (const text of response.body.setEncoding("utf8") as AsyncIterable<string>) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#event(JSON.parse(line) as { type: string; object: EdgeContainer });
    }
  }

  #event({ type, object }: { type: string; object: EdgeContainer }): void {
    if (type === "ERROR") throw new Error(JSON.stringify(object));
    const { name, resourceVersion } = object.metadata;
    this.#resourceVersion = resourceVersion;
    if (type === "DELETED") this.objects.delete(name);
    else this.objects.set(name, object);
    this.onEvent(object);
    const waiting = this.#waiting;
    if (waiting?.names.has(name) !== true || !waiting.holds(object)) return;
    waiting.names.delete(name);
    if (waiting.names.size > 0) return;
    this.#waiting = undefined;
    waiting.resolve();
  }
}

/** Ready at its present generation. */
export function isReady(object: EdgeContainer): boolean {
  const ready = conditionOf(object, "Ready") as { status: string; observedGeneration?: number } | undefined;
  return ready?.status === "True" && ready.observedGeneration === object.metadata.generation;
}

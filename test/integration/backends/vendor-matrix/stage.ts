/**
 * Where a cell of the matrix plays: a simulated vendor, the operator's own reconcilers and backend, real sockets between the two, and one clock for all of
 * it, which stands still while anything moves. A day passes in as long as its requests take.
 */
import type { Backend, BackendDeps, BackendType } from "../../../../src/backends/contract.ts";
import type { EdgeContainer } from "../../../../src/crds/edge-container.ts";
import { RESOURCES } from "../../../../src/reconcilers/resources.ts";
import { FakeClock } from "../../../support/fake-clock.ts";
import { QuietWires } from "../../../support/quiet-wires.ts";
import { Cluster, VirtualOperator } from "../../../support/virtual-operator.ts";

export const HOUR_MS = 3_600_000;
/** What is not there after so long will not come, ms. */
const NEVER_MS = 2 * HOUR_MS;

/** The name of the one object. */
export const NAME = "web";
/** In a Secret, sent to the vendor, and never to be told to anybody else. */
export const SECRETS = {
  env: "s3cr3t-of-the-app",
  apiKey: "s3cr3t-api-key",
  password: "s3cr3t-of-the-registry",
} as const;

/** What a vendor brings. */
export interface Vendor {
  readonly type: BackendType;
  readonly backend: (deps: BackendDeps) => Backend;
  /** Specs of the EdgeBackend and of the EdgeDevice. */
  readonly backendSpec: object;
  readonly deviceSpec: object;
  /** Requests so far. */
  requests(): readonly { readonly method: string }[];
  stop(): Promise<void>;
}

export class Stage<V extends Vendor> implements AsyncDisposable {
  readonly clock: FakeClock;
  readonly vendor: V;
  readonly cluster: Cluster;
  operator: VirtualOperator;
  readonly #wires: QuietWires;
  #processes = 0;
  /** Monotonic ms of each request, in order. */
  readonly #requestTimes: number[] = [];

  private constructor(clock: FakeClock, wires: QuietWires, vendor: V) {
    this.clock = clock;
    this.vendor = vendor;
    this.#wires = wires;
    this.cluster = new Cluster({
      key: { apiKey: SECRETS.apiKey, token: SECRETS.apiKey },
      app: { token: SECRETS.env },
      registry: {
        ".dockerconfigjson": JSON.stringify({
          auths: { "registry.example": { username: "user", password: SECRETS.password } },
        }),
      },
    });
    this.cluster.create(RESOURCES.backends, "backend", {
      credentialsSecretRef: { name: "key" },
      // Few requests where nothing happens: a day is to be passed quickly.
      observeIntervalSeconds: 600,
      ...vendor.backendSpec,
    });
    this.cluster.create(RESOURCES.devices, "device", { backendRef: { name: "backend" }, ...vendor.deviceSpec });
    this.operator = this.#start();
  }

  static async open<V extends Vendor>(make: (clock: FakeClock) => Promise<V>): Promise<Stage<V>> {
    const clock = new FakeClock();
    const wires = new QuietWires();
    return new Stage(clock, wires, await make(clock));
  }

  create(spec: Partial<EdgeContainer["spec"]>): void {
    this.cluster.create(RESOURCES.containers, NAME, { deviceRef: { name: "device" }, ...spec });
  }

  get object(): EdgeContainer | undefined {
    return this.cluster.container(NAME);
  }

  /** Whether the wish is fulfilled, by what status says of this very generation; or the object is gone, if that was asked for. */
  get isDone(): boolean {
    const { object } = this;
    if (object === undefined) return true;
    if (object.metadata.deletionTimestamp !== undefined) return false;
    const ready = object.status?.conditions?.find(({ type }) => type === "Ready");
    return ready?.status === "True" && ready.observedGeneration === object.metadata.generation;
  }

  /** Lets so much time pass. */
  async pass(ms: number): Promise<void> {
    const end = this.clock.monotonic() + ms;
    while (await this.#step(end));
  }

  /** Lets time pass until it is so. @throws Error if that does not come. */
  async until(holds: () => boolean, what: string): Promise<void> {
    const end = this.clock.monotonic() + NEVER_MS;
    await this.#rest();
    while (!holds()) if (!(await this.#step(end))) throw new Error(`never came: ${what}; ${this.describe()}`);
  }

  /** Kills the operator's process and starts another one. */
  async restart(): Promise<void> {
    await this.operator.kill();
    this.operator = this.#start();
  }

  /** Most requests within any hour. */
  get mostPerHour(): number {
    const times = this.#requestTimes;
    let from = 0;
    let most = 0;
    for (const [index, time] of times.entries()) {
      while (time - (times[from] ?? 0) > HOUR_MS) from += 1;
      most = Math.max(most, index - from + 1);
    }
    return most;
  }

  /** For people who look into a failure: how the object stands, and the last that was said. */
  describe(): string {
    const { object, cluster, vendor } = this;
    const requests = vendor.requests().slice(-15);
    return JSON.stringify({ status: object?.status, said: cluster.told.slice(-15), requests }, undefined, 1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.operator.kill();
    await this.vendor.stop();
    this.#wires[Symbol.dispose]();
  }

  #start(): VirtualOperator {
    const { clock, cluster, vendor } = this;
    const options = { cluster, clock, type: vendor.type, backend: vendor.backend, random: () => 0.5 };
    return new VirtualOperator(options, ++this.#processes);
  }

  /** Moves on to the next timer, or to `end`. @returns false once that is reached. */
  async #step(end: number): Promise<boolean> {
    await this.#rest();
    const leftMs = end - this.clock.monotonic();
    if (leftMs <= 0) return false;
    const nextMs = this.clock.nextInMs;
    this.clock.advance(nextMs === undefined ? leftMs : Math.min(nextMs, leftMs));
    return true;
  }

  /** Until nobody does anything any more but wait for the clock. */
  async #rest(): Promise<void> {
    do {
      await this.#wires.settle();
      const news = this.vendor.requests().length - this.#requestTimes.length;
      for (let each = 0; each < news; each++) this.#requestTimes.push(this.clock.monotonic());
    } while (await this.operator.run());
  }
}

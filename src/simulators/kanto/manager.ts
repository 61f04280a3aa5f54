// The daemon's container manager: create, start, stop, update, pause, rename, remove, and what happens when a process ends by itself. It
// belongs to one daemon process; `restore` is what a new process does with what the last one left on disk and in the runtime.
// Source: containerm/mgr/mgr.go and mgr_internal.go, containerm/ctr/ctrd_client.go (DestroyContainer, killTask).

import type { Clock } from "../clock.ts";
import type { Random } from "../random.ts";
import type { StopOptions, UpdateOptions } from "./arguments.ts";
import { fillDefaults } from "./defaults.ts";
import { NetworkError, ProcessEnded, text } from "./errors.ts";
import { Mutex } from "./mutex.ts";
import type { Ports } from "./ports.ts";
import { RestartManagers } from "./restart-manager.ts";
import type { Exit, Runtime } from "./runtime.ts";
import { initialState, setExited, setRunning, setStopped, timestamp } from "./state.ts";
import { Stopper } from "./stopper.ts";
import { isActive, type Container, type ContainerEventAction, type CreateSpec, type Resources } from "./types.ts";
import {
  validateContainer,
  validateName,
  validateResources,
  validateRestartPolicy,
  validateStopOptions,
} from "./validation.ts";

export interface ManagerOptions {
  clock: Clock;
  random: Random;
  runtime: Runtime;
  ports: Ports;
  /** The machine's own host name. */
  hostName: string;
  /** Stored containers; outlives this process. */
  disk: Map<string, Container>;
  /** Grace of a plain stop and of a forced removal, whole seconds. */
  defaultStopTimeoutS: number;
  /**
   * How late a cancelled restart is noticed, ms. 0: before the operation that cancelled it goes on, as seen with containerd. More: after
   * it, as seen with a fast runtime; then a removed container is written to disk again and is back after the next start of the daemon.
   */
  lateRestartCancelMs: number;
  /** Ends with the daemon process. */
  signal: AbortSignal;
  emit: (action: ContainerEventAction, container: Container) => void;
}

export class Manager {
  readonly #options: ManagerOptions;
  readonly #containers = new Map<string, Container>();
  readonly #locks = new Map<string, Mutex>();
  readonly #restarts: RestartManagers;
  readonly #stopper: Stopper;

  constructor(options: ManagerOptions) {
    this.#options = options;
    this.#restarts = new RestartManagers(options.clock);
    this.#stopper = new Stopper(options.clock, options.runtime, options.signal);
    options.signal.addEventListener("abort", () => this.#restarts.vanish());
  }

  list(): Container[] {
    return [...this.#containers.values()];
  }

  get(id: string): Container | undefined {
    return this.#containers.get(id);
  }

  /** A restart by policy waits for its delay. */
  restartPending(id: string): boolean {
    return this.#restarts.pending(id);
  }

  /** Takes over what is on disk: attaches to live processes, notes the dead ones, starts what the policies say. */
  async restore(): Promise<void> {
    const { disk, runtime } = this.#options;
    for (const container of disk.values()) {
      if (container.state.status === "Dead") {
        disk.delete(container.id);
      } else {
        this.#containers.set(container.id, container);
      }
    }
    runtime.onExit = (id, exit) => this.#processEnded(id, exit);
    for (const container of this.list().filter(isActive)) {
      // Cancelled and never renewed: the policy of a container that outlived its daemon no longer restarts it, until a start or an update.
      this.#restarts.of(container).cancel();
      if (runtime.pid(container.id) === undefined) {
        this.#toExited(container, { code: 0, oom: false }, text.taskGone(container.id));
      }
    }
    const toStart = this.list().filter((container) => {
      if (isActive(container)) {
        return false;
      }
      this.#restarts.reset(container, false);
      return this.#restarts.shouldRestart(container) && container.startedBefore;
    });
    await Promise.allSettled(toStart.map(async ({ id }) => this.start(id)));
    this.#checkAlive();
  }

  async create(spec: CreateSpec): Promise<Container> {
    const { clock, random, runtime, disk, emit, signal } = this.#options;
    if (spec.id !== undefined && this.#containers.has(spec.id)) {
      throw new Error(text.alreadyExists(spec.id));
    }
    const container: Container = {
      id: spec.id ?? random.uuid(),
      name: spec.name,
      imageRef: spec.imageRef,
      config: spec.config,
      createdAt: "",
      state: initialState(),
      restartCount: 0,
      manuallyStopped: false,
      startedBefore: false,
    };
    fillDefaults(container);
    validateContainer(container);
    await runtime.pull(container.imageRef, signal);
    this.#checkAlive();
    container.createdAt = timestamp(clock.now(), random);
    emit("created", container);
    disk.set(container.id, container);
    this.#containers.set(container.id, container);
    return container;
  }

  async start(id: string): Promise<void> {
    return this.#start(id, true);
  }

  async stop(id: string, options: StopOptions): Promise<void> {
    const container = this.#existing(id);
    const filled = this.#fillStopOptions(options);
    validateStopOptions(filled);
    await this.#locked(id, async () => {
      await this.#stop(container, filled, true);
      this.#applyRestartPolicy(container);
    });
  }

  async update(id: string, { restartPolicy, resources }: UpdateOptions): Promise<void> {
    const container = this.#existing(id);
    validateRestartPolicy(restartPolicy);
    validateResources(resources);
    await this.#locked(id, async () => {
      const { config, state } = container;
      const resourcesChanged =
        resources !== undefined && !(config.resources && sameFields(resources, config.resources));
      if (resourcesChanged) {
        config.resources = isEmpty(resources) ? undefined : resources;
      }
      const policyChanged =
        restartPolicy !== undefined && !(config.restartPolicy && sameFields(restartPolicy, config.restartPolicy));
      if (policyChanged) {
        this.#restarts.reset(container, false);
        config.restartPolicy = restartPolicy;
      }
      if (resourcesChanged || policyChanged) {
        this.#options.emit("updated", container);
      }
      if (policyChanged && (state.status === "Exited" || state.status === "Stopped")) {
        this.#applyRestartPolicy(container);
      }
    });
  }

  async pause(id: string): Promise<void> {
    const container = this.#existing(id);
    await this.#locked(id, async () => {
      if (container.state.status !== "Running") {
        throw new Error(text.notPausable(id, container.state.status));
      }
      this.#options.runtime.pause(id);
      container.state.status = "Paused";
      this.#options.emit("paused", container);
    });
  }

  async resume(id: string): Promise<void> {
    const container = this.#existing(id);
    await this.#locked(id, async () => {
      if (container.state.status !== "Paused") {
        throw new Error(text.notPaused(id));
      }
      container.state.status = "Running";
      this.#options.emit("resumed", container);
      this.#options.runtime.resume(id);
    });
  }

  async rename(id: string, name: string): Promise<void> {
    const container = this.#existing(id);
    validateName(name);
    await this.#locked(id, async () => {
      if (name !== "" && name !== container.name) {
        container.name = name;
        this.#options.emit("renamed", container);
      }
    });
  }

  async remove(id: string, force: boolean): Promise<void> {
    const container = this.#existing(id);
    await this.#locked(id, async () => {
      if (isActive(container) && !force) {
        throw new Error(text.notStopped(id));
      }
      if (container.state.status === "Dead") {
        return;
      }
      this.#restarts.of(container).cancel();
      // Gives a cancelled restart its turn, as the work with containerd does.
      await Promise.resolve();
      await this.#stopper.destroy(id, { timeoutS: this.#options.defaultStopTimeoutS, force, signal: "SIGTERM" });
      this.#options.ports.disconnect(id);
      container.state.status = "Dead";
      this.#options.emit("removed", container);
      // The daemon writes and deletes its file now; who lists the containers meanwhile finds this one dead.
      await new Promise((resolve) => setImmediate(resolve));
      this.#options.disk.delete(id);
      this.#restarts.forget(id);
      this.#containers.delete(id);
    });
  }

  /** What SIGTERM to the daemon does: every container is stopped, one after another, and none of these stops counts as made by hand. */
  async stopAll(): Promise<void> {
    for (const container of this.list()) {
      this.#restarts.of(container).cancel();
      await this.#locked(container.id, async () => {
        if (isActive(container)) {
          await this.#stop(
            container,
            { timeoutS: this.#options.defaultStopTimeoutS, force: true, signal: "SIGTERM" },
            false,
          );
        }
      });
    }
  }

  async #start(id: string, explicit: boolean): Promise<void> {
    const container = this.#existing(id);
    await this.#locked(id, async () => {
      const { status } = container.state;
      if (status === "Paused") {
        throw new Error(text.startPaused(id));
      }
      if (status === "Running") {
        throw new Error(text.alreadyRunning(id));
      }
      this.#connectNetwork(container);
      if (container.config.networkMode === "host") {
        // Shared with the machine, its name included. The twin learns of it with the next full configuration.
        container.config.hostName = this.#options.hostName;
      }
      if (explicit) {
        this.#restarts.reset(container, true);
        container.manuallyStopped = false;
      }
      let pid: number;
      try {
        pid = await this.#options.runtime.start(container, this.#options.signal);
      } catch (error) {
        this.#options.ports.disconnect(id);
        if (error instanceof Error && !(error instanceof ProcessEnded)) {
          this.#toStopped(container, 0, error.message);
        }
        throw error;
      }
      container.startedBefore = true;
      setRunning(container.state, pid, this.#now());
      this.#options.emit("running", container);
    });
  }

  /** A failure here leaves no trace but the error: no event, no state. */
  #connectNetwork(container: Container): void {
    for (const host of container.config.extraHosts) {
      const parts = host.trim().split(":");
      if (parts.length !== 2) {
        throw new NetworkError(text.badExtraHost(parts));
      }
    }
    this.#options.ports.connect(container);
  }

  async #stop(container: Container, options: StopOptions, byHand: boolean): Promise<void> {
    if (!isActive(container)) {
      throw new Error(text.notStoppable(container.id, container.state.status));
    }
    const exit = await this.#stopper.destroy(container.id, options);
    container.manuallyStopped = byHand;
    this.#toStopped(container, exit?.code ?? 0, "");
    this.#options.ports.disconnect(container.id);
  }

  #processEnded(id: string, exit: Exit): void {
    if (!this.#stopper.ended(id, exit)) {
      return;
    }
    void this.#locked(id, async () => {
      const container = this.#containers.get(id);
      if (this.#stopper.takeExit(id) && container) {
        this.#toExited(container, exit, "");
        this.#applyRestartPolicy(container);
      }
    }).catch((error: unknown) => {
      if (!(error instanceof ProcessEnded)) {
        throw error;
      }
    });
  }

  #applyRestartPolicy(container: Container): void {
    const { id } = container;
    if (!this.#restarts.shouldRestart(container)) {
      return;
    }
    container.restartCount++;
    this.#restarts.of(container).schedule({
      due: () => {
        this.#start(id, false).catch((error: unknown) => {
          if (error instanceof Error && !(error instanceof ProcessEnded) && this.#containers.has(id)) {
            this.#toStopped(container, 0, error.message);
          }
        });
      },
      canceled: (error) => this.#restartCanceled(container, error),
    });
  }

  /** The daemon writes this without the container's lock, whatever happened to it meanwhile. */
  #restartCanceled(container: Container, error: Error): void {
    const { clock, disk, lateRestartCancelMs, signal } = this.#options;
    const write = (): void => {
      if (!signal.aborted) {
        this.#toStopped(container, 0, error.message);
        disk.set(container.id, container);
      }
    };
    if (lateRestartCancelMs === 0) {
      queueMicrotask(write);
    } else {
      clock.setTimeout(write, lateRestartCancelMs);
    }
  }

  #toStopped(container: Container, exitCode: number, error: string): void {
    setStopped(container.state, exitCode, error, this.#now());
    this.#options.emit("stopped", container);
  }

  #toExited(container: Container, exit: Exit, error: string): void {
    setExited(container.state, exit.code, error, exit.oom, this.#now());
    this.#options.ports.disconnect(container.id);
    this.#options.emit("exited", container);
  }

  #fillStopOptions({ timeoutS, force, signal }: StopOptions): StopOptions {
    return {
      timeoutS: timeoutS === 0 ? this.#options.defaultStopTimeoutS : timeoutS,
      force,
      signal: signal === "" ? "SIGTERM" : signal,
    };
  }

  async #locked<T>(id: string, work: () => Promise<T>): Promise<T> {
    const lock = this.#locks.get(id) ?? new Mutex();
    this.#locks.set(id, lock);
    return lock.run(async () => {
      this.#checkAlive();
      return work();
    });
  }

  #existing(id: string): Container {
    const container = this.#containers.get(id);
    if (!container) {
      throw new Error(text.noSuchContainer(id));
    }
    return container;
  }

  #checkAlive(): void {
    if (this.#options.signal.aborted) {
      throw new ProcessEnded("daemon ended");
    }
  }

  #now(): string {
    return timestamp(this.#options.clock.now(), this.#options.random);
  }
}

function sameFields<T extends object>(one: T, other: T): boolean {
  return Object.entries(one).every(([key, value]) => value === other[key as keyof T]);
}

const isEmpty = (resources: Resources): boolean => Object.values(resources).every((value) => value === "");

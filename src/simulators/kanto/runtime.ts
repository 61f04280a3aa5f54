// What lives below the daemon and survives its death: processes (containerd, runc) and the local image store. The daemon starts and signals
// processes here and is told of their ends while it is attached; a process that ends while no daemon listens is simply gone.

import { sleep, type Clock, type Timer } from "../clock.ts";
import type { Random } from "../random.ts";
import { ProcessEnded, runtimeText } from "./errors.ts";
import {
  imageBehaviour,
  pullError,
  withCommand,
  type ImageBehaviour,
  type ImageTable,
  type ProcessBehaviour,
} from "./images.ts";
import type { Container } from "./types.ts";

export interface Exit {
  code: number;
  oom: boolean;
}

interface Process {
  pid: number;
  behaviour: ProcessBehaviour;
  startedMs: number;
  /** Ms that it still has to run, counted anew at each resume; absent when it runs on. */
  leftMs: number | undefined;
  runningSinceMs: number;
  timer: Timer | undefined;
  paused: boolean;
  /** Signals that arrived while it was frozen. */
  pendingSignal: boolean;
}

export interface RuntimeOptions {
  clock: Clock;
  random: Random;
  images: ImageTable;
  /** Default duration of a pull, ms. */
  pullMs: number;
  /** Time from the order to the running process, ms. */
  startMs: number;
  /** Whether a path (mount source, device) exists on the device. */
  pathExists: (path: string) => boolean;
}

const SIGKILL = 9;
/** The kernel's limit (sethostname(2)); the default host name is the container's name and `-host`. */
const MAX_HOST_NAME = 64;

export class Runtime {
  readonly #options: RuntimeOptions;
  readonly #processes = new Map<string, Process>();
  readonly #pulled = new Set<string>();
  readonly #starts = new Map<string, number>();
  readonly #overrides = new Map<string, ProcessBehaviour>();
  readonly #imageOverrides = new Map<string, ImageBehaviour>();
  /** The attached daemon; undefined while none runs. */
  onExit: ((containerId: string, exit: Exit) => void) | undefined;

  constructor(options: RuntimeOptions) {
    this.#options = options;
  }

  /** How often a process was started for the container, restarts by policy included. */
  starts(containerId: string): number {
    return this.#starts.get(containerId) ?? 0;
  }

  pid(containerId: string): number | undefined {
    return this.#processes.get(containerId)?.pid;
  }

  /** References in the local image store. */
  get images(): string[] {
    return [...this.#pulled];
  }

  /** Adds to (or with undefined removes from) what an image does; counts for later pulls and starts. */
  overrideImage(reference: string, behaviour: ImageBehaviour | undefined): void {
    if (behaviour) {
      this.#imageOverrides.set(reference, { ...this.#imageOverrides.get(reference), ...behaviour });
    } else {
      this.#imageOverrides.delete(reference);
    }
  }

  /** Replaces what the container's later processes do, whatever its image; undefined ends the replacement. */
  overrideProcess(containerId: string, behaviour: ProcessBehaviour | undefined): void {
    if (behaviour) {
      this.#overrides.set(containerId, behaviour);
    } else {
      this.#overrides.delete(containerId);
    }
  }

  forgetImage(reference: string): void {
    this.#pulled.delete(reference);
  }

  /**
   * Makes the image local. A reference that is already there is not asked for again, whatever its tag points at now.
   * @throws Error with containerd's words; ProcessEnded when the daemon died in between, which leaves nothing behind
   */
  async pull(reference: string, signal: AbortSignal): Promise<void> {
    if (this.#pulled.has(reference)) {
      return;
    }
    const before = this.#image(reference);
    const failed = pullError(reference, before);
    if (failed !== undefined) {
      throw new Error(failed);
    }
    const pullMs = before.pullMs ?? this.#options.pullMs;
    if (pullMs > 0 && !(await sleep(this.#options.clock, pullMs, signal))) {
      throw new ProcessEnded("daemon ended during a pull");
    }
    const failedLate = pullError(reference, this.#image(reference));
    if (failedLate !== undefined) {
      throw new Error(failedLate);
    }
    this.#pulled.add(reference);
  }

  /**
   * Starts the container's process and returns its pid.
   * @throws Error with runc's words when it cannot run; ProcessEnded when the daemon died before it did
   */
  async start(container: Container, signal: AbortSignal): Promise<number> {
    const { clock, random, startMs, pathExists } = this.#options;
    if (startMs > 0 && !(await sleep(clock, startMs, signal))) {
      throw new ProcessEnded("daemon ended during a start");
    }
    const { config } = container;
    const behaviour = this.#overrides.get(container.id) ?? withCommand(this.#image(container.imageRef), config.cmd);
    const device = config.devices.find(({ pathOnHost }) => !pathExists(pathOnHost));
    if (device) {
      throw new Error(runtimeText.noDevice(device.pathOnHost));
    }
    const mount = config.mountPoints.find(({ source }) => !pathExists(source));
    if (mount) {
      throw new Error(runtimeText.noMountSource(mount.source, mount.destination));
    }
    if (config.networkMode !== "host" && config.hostName.length > MAX_HOST_NAME) {
      throw new Error(runtimeText.hostNameTooLong);
    }
    if (behaviour.missingCommand !== undefined) {
      throw new Error(runtimeText.noCommand(behaviour.missingCommand));
    }
    const process: Process = {
      pid: 1000 + random.integer(31_000),
      behaviour,
      startedMs: clock.now(),
      leftMs: behaviour.runMs,
      runningSinceMs: clock.now(),
      timer: undefined,
      paused: false,
      pendingSignal: false,
    };
    this.#processes.set(container.id, process);
    this.#starts.set(container.id, this.starts(container.id) + 1);
    this.#arm(container.id, process);
    return process.pid;
  }

  pause(containerId: string): void {
    const process = this.#processes.get(containerId);
    if (process && !process.paused) {
      this.#options.clock.clearTimeout(process.timer);
      process.paused = true;
      if (process.leftMs !== undefined) {
        process.leftMs = Math.max(0, process.leftMs - (this.#options.clock.now() - process.runningSinceMs));
      }
    }
  }

  resume(containerId: string): void {
    const process = this.#processes.get(containerId);
    if (process?.paused) {
      process.paused = false;
      process.runningSinceMs = this.#options.clock.now();
      this.#arm(containerId, process);
      if (process.pendingSignal) {
        process.pendingSignal = false;
        this.#deliver(containerId, process);
      }
    }
  }

  /** Sends a signal. SIGKILL ends it at once, frozen or not; any other waits while it is frozen and may be ignored. */
  kill(containerId: string, signal: number): void {
    const process = this.#processes.get(containerId);
    if (!process) {
      return;
    }
    if (signal === SIGKILL) {
      this.#end(containerId, { code: 128 + SIGKILL, oom: false });
    } else if (process.paused) {
      process.pendingSignal = true;
    } else {
      this.#deliver(containerId, process);
    }
  }

  /** The process ends now, as if by itself. Returns whether there was one. */
  exit(containerId: string, exit: Exit): boolean {
    return this.#end(containerId, exit);
  }

  /** Power cut: every process is gone and nobody is told. */
  powerOff(): void {
    for (const process of this.#processes.values()) {
      this.#options.clock.clearTimeout(process.timer);
    }
    this.#processes.clear();
  }

  #image(reference: string): ImageBehaviour {
    return { ...imageBehaviour(reference, this.#options.images), ...this.#imageOverrides.get(reference) };
  }

  #arm(containerId: string, process: Process): void {
    if (process.leftMs !== undefined) {
      const { exitCode = 0, oom = false } = process.behaviour;
      process.timer = this.#options.clock.setTimeout(
        () => this.#end(containerId, { code: exitCode, oom }),
        process.leftMs,
      );
    }
  }

  #deliver(containerId: string, process: Process): void {
    const { onSignal = 0 } = process.behaviour;
    if (onSignal !== "ignore") {
      this.#end(containerId, { code: onSignal, oom: false });
    }
  }

  #end(containerId: string, exit: Exit): boolean {
    const process = this.#processes.get(containerId);
    if (!process) {
      return false;
    }
    this.#options.clock.clearTimeout(process.timer);
    this.#processes.delete(containerId);
    this.onExit?.(containerId, exit);
    return true;
  }
}

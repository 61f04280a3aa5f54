// The fault switches of a device. Those on single messages are rules (faults.ts); these are on the device as a whole, its images, its ports
// and its containers.

import { sleep } from "../clock.ts";
import type { KantoDevice } from "./device.ts";
import type { CommandRule, EventRule } from "./faults.ts";
import type { ImageBehaviour, ProcessBehaviour, PullFailure } from "./images.ts";
import type { HeldPort } from "./ports.ts";

export class Faults {
  readonly #device: KantoDevice;

  constructor(device: KantoDevice) {
    this.#device = device;
  }

  /**
   * The network is gone; the daemon and its containers go on. Commands sent meanwhile are lost for ever.
   * @param silent the connection seems to stand, and nothing passes: the broker notices only by the keepalive
   */
  offline(silent = false): void {
    this.#device.setNetwork(silent ? "silent" : "down");
  }

  /** The network is back; the daemon reconnects at its next attempt. */
  online(): void {
    this.#device.setNetwork("up");
  }

  /** Breaks the connection once; the daemon reconnects. */
  disconnect(): void {
    this.#device.daemon.client.cut();
  }

  /**
   * The daemon handles no command for so long, as behind a long pull. Two more wait; with a third it stops reading, and loses its
   * connection by its own keepalive.
   */
  stall(ms: number): void {
    this.#device.daemon.stall(ms);
  }

  /** kill -9 of the daemon. Containers live on and are attached to again. `restart: false` leaves it down until `startDaemon`. */
  crash(restart = true): void {
    this.#device.crash(restart);
  }

  /** SIGTERM to the daemon: all containers are stopped one after another, then it is down until `startDaemon`. */
  async stopDaemon(): Promise<void> {
    await this.#device.shutDown();
  }

  /** Starts the daemon if none runs; policies decide which containers it starts. */
  async startDaemon(): Promise<void> {
    await this.#device.boot();
  }

  /**
   * The machine restarts. Not clean (default): a power cut, also in the middle of a pull, of which nothing remains. Clean: SIGTERM first.
   * @param downMs how long it is down, on the device's clock; default the restart delay
   */
  async reboot(options: { clean?: boolean; downMs?: number } = {}): Promise<void> {
    if (!options.clean) {
      this.#device.powerCut(options.downMs);
      return;
    }
    await this.#device.shutDown();
    await sleep(this.#device.clock, options.downMs ?? 0);
    await this.#device.boot();
  }

  /** Spoils commands or their answers; see CommandRule. */
  command(rule: CommandRule): void {
    this.#device.commandRules.add(rule);
  }

  /** Spoils twin events; see EventRule. */
  event(rule: EventRule): void {
    this.#device.eventRules.add(rule);
  }

  /** Forgets all rules on messages. */
  clearRules(): void {
    this.#device.commandRules.clear();
    this.#device.eventRules.clear();
  }

  /** Pulls of the reference fail from now on, also one under way; undefined ends that. An image that is already local is not pulled again. */
  pullFailure(reference: string, failure: PullFailure | undefined): void {
    this.#device.runtime.overrideImage(reference, failure === undefined ? undefined : { pullFailure: failure });
  }

  /** What the image does from its next pull and start on; undefined returns to what it did before. */
  image(reference: string, behaviour: ImageBehaviour | undefined): void {
    this.#device.runtime.overrideImage(reference, behaviour);
  }

  /** The image is no longer on the device; the next create pulls it again. */
  forgetImage(reference: string): void {
    this.#device.runtime.forgetImage(reference);
  }

  /**
   * From its next start on, the container's process ends by itself like this, whatever its image; its present process ends now. undefined
   * returns to the image's behaviour at the next start.
   */
  crashLoop(nameOrId: string, behaviour: { runMs?: number; exitCode?: number; oom?: boolean } | undefined): void {
    const { id } = this.#device.container(nameOrId);
    const process: ProcessBehaviour | undefined = behaviour && { runMs: 1000, exitCode: 1, ...behaviour };
    this.#device.runtime.overrideProcess(id, process);
    if (process) {
      this.#device.runtime.exit(id, { code: process.exitCode ?? 1, oom: process.oom ?? false });
    }
  }

  /** The container's process ends now, by itself. @throws Error when it has none */
  exit(nameOrId: string, exit: { code: number; oom?: boolean }): void {
    const { id } = this.#device.container(nameOrId);
    if (!this.#device.runtime.exit(id, { code: exit.code, oom: exit.oom ?? false })) {
      throw new Error(`container ${nameOrId} has no process`);
    }
  }

  /** A process that is none of ours takes a host port. */
  holdPort(port: HeldPort): void {
    this.#device.ports.hold(port);
  }

  /** Ends `holdPort` for one port, or for all. */
  releasePort(port?: HeldPort): void {
    this.#device.ports.release(port);
  }
}

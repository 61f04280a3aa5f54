// The local tool in a human's hand (the daemon's own command line client): the same operations as over MQTT, beside them and not in their
// queue, also while the device is offline. What it creates carries no mark of ours.

import {
  parseCreateWithConfig,
  parseUpdate,
  type StopOptions,
  type WireConfig,
  type WireRestartPolicy,
} from "./arguments.ts";
import type { KantoDevice } from "./device.ts";
import type { Resources } from "./types.ts";

export interface HumanCreate {
  /** Default the id. */
  name?: string;
  image: string;
  /** As in createWithConfig. */
  config?: WireConfig;
  /** Default true. */
  start?: boolean;
}

/** Every method takes a name or an id where it needs one, and throws the daemon's error where that would refuse. */
export class Human {
  readonly #device: KantoDevice;

  constructor(device: KantoDevice) {
    this.#device = device;
  }

  /** Returns the id of the new container. */
  async create({ name = "", image, config = {}, start = true }: HumanCreate): Promise<string> {
    const { daemon } = this.#device;
    const { spec } = parseCreateWithConfig({ imageRef: image, name, config });
    const { id } = await daemon.create(spec, "human");
    if (start) {
      await daemon.manager.start(id);
    }
    return id;
  }

  async start(nameOrId: string): Promise<void> {
    await this.#device.daemon.manager.start(this.#id(nameOrId));
  }

  async stop(nameOrId: string, { timeoutS = 0, force = false, signal = "" }: Partial<StopOptions> = {}): Promise<void> {
    await this.#device.daemon.manager.stop(this.#id(nameOrId), { timeoutS, force, signal });
  }

  async pause(nameOrId: string): Promise<void> {
    await this.#device.daemon.manager.pause(this.#id(nameOrId));
  }

  async resume(nameOrId: string): Promise<void> {
    await this.#device.daemon.manager.resume(this.#id(nameOrId));
  }

  async rename(nameOrId: string, name: string): Promise<void> {
    await this.#device.daemon.manager.rename(this.#id(nameOrId), name);
  }

  async update(
    nameOrId: string,
    update: { restartPolicy?: WireRestartPolicy; resources?: Partial<Resources> },
  ): Promise<void> {
    await this.#device.daemon.manager.update(this.#id(nameOrId), parseUpdate(update));
  }

  /** @param force default true: a running container is stopped first */
  async remove(nameOrId: string, force = true): Promise<void> {
    await this.#device.daemon.manager.remove(this.#id(nameOrId), force);
  }

  #id(nameOrId: string): string {
    return this.#device.container(nameOrId).id;
  }
}

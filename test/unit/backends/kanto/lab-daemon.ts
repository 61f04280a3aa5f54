/**
 * The simulated daemon without broker and network: it is handed the bytes of a command, and hands back its answer and the twin events, as
 * text. A message that would end the real daemon's process throws. For properties that need many runs.
 */
import { readEvent } from "../../../../src/backends/kanto/envelope.ts";
import type { Change, Inventory } from "../../../../src/backends/kanto/inventory.ts";
import { systemClock } from "../../../../src/simulators/clock.ts";
import { createRandom } from "../../../../src/simulators/random.ts";
import { handleCommand } from "../../../../src/simulators/kanto/commands.ts";
import { Manager } from "../../../../src/simulators/kanto/manager.ts";
import { containerOperations, factoryOperations } from "../../../../src/simulators/kanto/operations.ts";
import { Ports } from "../../../../src/simulators/kanto/ports.ts";
import { Runtime } from "../../../../src/simulators/kanto/runtime.ts";
import { Thing } from "../../../../src/simulators/kanto/thing.ts";

/** The containers thing of every lab daemon. */
export const LAB_THING = "edge:device:edge:containers";

export interface LabAnswer {
  status: number;
  message: string;
}

export class LabDaemon implements Disposable {
  readonly manager: Manager;
  readonly #process = new AbortController();
  readonly #published = new Set<string>();
  #thing: Thing;
  #events: string[] = [];
  /** What the daemon would only log. */
  readonly complaints: unknown[] = [];

  private constructor() {
    const clock = systemClock;
    const random = createRandom("lab");
    this.manager = new Manager({
      clock,
      random,
      runtime: new Runtime({ clock, random, images: {}, pullMs: 0, startMs: 0, pathExists: () => true }),
      ports: new Ports(),
      hostName: "the-device",
      disk: new Map(),
      defaultStopTimeoutS: 1,
      lateRestartCancelMs: 0,
      signal: this.#process.signal,
      emit: (action, container) => this.#thing.event({ action, container }),
    });
    this.#thing = this.#newThing();
  }

  static async start(): Promise<LabDaemon> {
    const daemon = new LabDaemon();
    await daemon.manager.restore();
    await daemon.#thing.register();
    return daemon;
  }

  /** Publishes everything anew, as for an identity with another policy. */
  async republish(): Promise<void> {
    this.#thing.dispose();
    this.#thing = this.#newThing();
    await this.#thing.register();
  }

  /** Executes a command. Throws where the process would end; undefined where nobody would be answered. */
  async request(topic: string, payload: string): Promise<LabAnswer | undefined> {
    const { answer } = await handleCommand(this.#thing, topic, Buffer.from(payload));
    await this.idle();
    const value = answer?.envelope.value as { message?: string } | undefined;
    return answer && { status: answer.envelope.status ?? 0, message: value?.message ?? "" };
  }

  async idle(): Promise<void> {
    await this.#thing.idle();
  }

  /** Payloads of twin events since the last call of this. */
  takeEvents(): string[] {
    return this.#events.splice(0);
  }

  [Symbol.dispose](): void {
    this.#process.abort();
    this.#thing.dispose();
  }

  #newThing(): Thing {
    return new Thing({
      id: LAB_THING,
      publish: (envelope) => {
        this.#events.push(JSON.stringify(envelope));
        return Promise.resolve();
      },
      list: () => this.manager.list(),
      published: this.#published,
      order: (groups) => [...groups],
      onError: (error) => void this.complaints.push(error),
      handlers: {
        container: (id) => containerOperations(this.manager, id),
        factory: factoryOperations(this.manager, (spec) => this.manager.create(spec)),
        softwareUpdatable: () => Promise.resolve(undefined),
        metrics: () => Promise.resolve(undefined),
      },
    });
  }
}

/** Takes twin events into an inventory; what each changed. Every one of a daemon's own must be understood. */
export function feed(inventory: Inventory, events: readonly string[], authoritative = false): Change[] {
  return events.flatMap((payload): Change[] => {
    const event = readEvent(LAB_THING, payload);
    switch (event?.kind) {
      case "Container":
        return [inventory.putFeature(event.externalId, event.feature, { characters: payload.length, authoritative })];
      case "State":
        return [inventory.putState(event.externalId, event.state)];
      case "Config":
        return [inventory.putConfig(event.externalId, event.config, payload.length)];
      case "Name":
        return [inventory.putName(event.externalId, event.name)];
      case "Removed":
        inventory.remove(event.externalId);
        return [];
      case "Factory":
      case "Other":
      case "Listed":
      case "Usage":
        return [];
      case "Foreign":
      case undefined:
        throw new Error(`not understood: ${payload}`);
      default:
        return event satisfies never;
    }
  });
}

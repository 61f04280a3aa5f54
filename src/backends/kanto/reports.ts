/** Reports on what a device's containers use: whether they are wanted and carried, when the device may be asked, and who is told that it refuses. */
import { DEVICE_DEFAULTS } from "../../crds/default-values.ts";
import type { EdgeDeviceSpec } from "../../crds/edge-device.ts";
import { METRICS_FEATURE } from "./envelope.ts";
import type { Inventory } from "./inventory.ts";
import { Metering } from "./metering.ts";
import type { Outbox, SentRequest } from "./outbox.ts";
import type { SessionDeps, SessionOptions } from "./parts.ts";

export interface ReportsHost {
  /** This process may observe, the device's words reach us, and no command of ours is with it. */
  idle(): boolean;
  /** And what runs on it is known, and nothing is about to be asked of it. */
  settled(): boolean;
  probe(): void;
}

export class Reports {
  readonly metering: Metering;
  readonly #options: SessionOptions;
  readonly #deps: SessionDeps;
  readonly #outbox: Outbox;
  readonly #host: ReportsHost;
  /** The way to the device does not carry them. */
  readonly #uncarried: boolean;
  /** They are wanted where they are not carried, and people know that. */
  #refused = false;

  /** @param carried whether the way to the device carries reports. */
  constructor(
    options: SessionOptions,
    deps: SessionDeps,
    carried: boolean,
    outbox: Outbox,
    inventory: Inventory,
    host: ReportsHost,
  ) {
    this.#options = options;
    this.#deps = deps;
    this.#uncarried = !carried;
    this.#outbox = outbox;
    this.#host = host;
    this.metering = new Metering(deps.clock, options.probeTimeoutMs, {
      calm: () => this.calm,
      // One more message does not harm.
      room: () => host.idle() && outbox.hasRoom(Number.POSITIVE_INFINITY),
      send: (frequencySeconds) => this.#request(frequencySeconds),
      probe: () => host.probe(),
      container: (externalId) => inventory.get(externalId),
      containers: () => inventory.list(),
      dropped: (problem) => deps.metrics.malformed("kanto", problem),
      refused: (status) => this.#onRefused(status),
    });
  }

  /** Nothing of ours is with the daemon, or about to be. */
  get calm(): boolean {
    return this.#host.settled() && this.#host.idle() && this.#outbox.idle;
  }

  configure({ kanto }: EdgeDeviceSpec): void {
    const { enabled, frequencySeconds } = { ...DEVICE_DEFAULTS.kanto.metrics, ...kanto?.metrics };
    const refused = enabled && this.#uncarried;
    // Asked for with each look at the EdgeDevice, and told once.
    if (refused && !this.#refused)
      this.#deps.notice({
        reason: "MetricsNotCarried",
        message: `what containers of ${this.#options.target.thingId} use cannot be had through Ditto: its twin does not hold a device's reports`,
        type: "Warning",
      });
    this.#refused = refused;
    this.metering.configure(enabled && !this.#uncarried ? frequencySeconds : undefined);
  }

  #request(frequencySeconds: number): SentRequest | undefined {
    const value = { frequency: `${frequencySeconds}s` };
    const operation = { feature: METRICS_FEATURE, operation: "request", value };
    const sent = this.#outbox.request("metrics", operation, this.#options.probeTimeoutMs);
    const { targetKey: target } = this.#options;
    if (sent !== undefined) this.#deps.log.debug({ target, ...value }, "reports on usage asked for");
    return sent;
  }

  #onRefused(status: number): void {
    const { target, targetKey } = this.#options;
    const message = `the device ${target.gatewayId} refuses to report what its containers use (${status}): is the Metrics feature enabled in its daemon?`;
    this.#deps.log.warn({ target: targetKey, status }, message);
    this.#deps.notice({ reason: "MetricsRefused", message, type: "Warning" });
  }
}

// What `drayage simulate hiveon` runs: the API, machines for rent, and the control endpoint. Reading flags and printing are the command's business.

import { systemClock, type Clock } from "../clock.ts";
import { runWithControl } from "../http-control.ts";
import { startControl } from "./control.ts";
import { startHiveon, type HiveonSimulator } from "./server.ts";

export interface SimulateHiveonOptions {
  /** Port of the API on 127.0.0.1; 0 for a free one. */
  port: number;
  apiKey: string;
  /** How many machines. Ids are the prefix and 1, 2, …; prices `<id>-price`. */
  machines: number;
  machineIdPrefix: string;
  startMs: number;
  stopMs: number;
  /** The vendor's minutes pass so many times faster than ours; for the meter, and for what takes its time. */
  speed: number;
  controlPort?: number;
  webhook?: { url: string; secret: string };
  seed: string;
  log?: (line: string) => void;
  onReady?: (ready: { vendor: HiveonSimulator; controlUrl: string | undefined }) => void;
}

/** A clock that runs `factor` times as fast as the machine's own. */
export function hurried(factor: number, base: Clock = systemClock): Clock {
  const [wall, mono] = [base.now(), base.monotonic()];
  return {
    now: () => wall + (base.monotonic() - mono) * factor,
    monotonic: () => base.monotonic() * factor,
    setTimeout: (callback, delayMs) => base.setTimeout(callback, delayMs / factor),
    clearTimeout: (timer) => base.clearTimeout(timer),
  };
}

/**
 * Runs until the signal aborts.
 * @throws when a port is taken
 */
export async function simulateHiveon(options: SimulateHiveonOptions, signal: AbortSignal): Promise<void> {
  const vendor = await startHiveon({
    port: options.port,
    apiKey: options.apiKey,
    machines: Array.from({ length: options.machines }, (_, index) => ({
      id: `${options.machineIdPrefix}${index + 1}`,
    })),
    startMs: options.startMs,
    stopMs: options.stopMs,
    clock: options.speed === 1 ? systemClock : hurried(options.speed),
    seed: options.seed,
    ...(options.webhook !== undefined && { webhook: options.webhook }),
    ...(options.log !== undefined && { log: options.log }),
  });
  await runWithControl(vendor, options.controlPort, startControl, options.onReady, signal);
}

// What `drayage simulate alpon` runs: the API, its devices, and the control endpoint. Reading flags and printing are the command's business.

import { runWithControl } from "../http-control.ts";
import { startControl } from "./control.ts";
import { startAlpon, type AlponSimulator } from "./server.ts";
import type { Framing } from "./types.ts";

export interface SimulateAlponOptions {
  /** Port of the API on 127.0.0.1; 0 for a free one. */
  port: number;
  apiKey: string;
  /** How many devices. Serial numbers are the prefix and 1, 2, … */
  devices: number;
  serialPrefix: string;
  /** Between two events of a stream, ms. */
  stepMs: number;
  framing: Framing;
  controlPort?: number;
  log?: (line: string) => void;
  onReady?: (ready: { vendor: AlponSimulator; controlUrl: string | undefined }) => void;
}

/**
 * Runs until the signal aborts.
 * @throws when a port is taken
 */
export async function simulateAlpon(options: SimulateAlponOptions, signal: AbortSignal): Promise<void> {
  const vendor = await startAlpon({
    port: options.port,
    apiKey: options.apiKey,
    assets: Array.from({ length: options.devices }, (_, index) => ({ serial: `${options.serialPrefix}${index + 1}` })),
    stepMs: options.stepMs,
    quirks: { framing: options.framing },
    ...(options.log !== undefined && { log: options.log }),
  });
  await runWithControl(vendor, options.controlPort, startControl, options.onReady, signal);
}

// What `drayage simulate mittwald` runs: the API, its projects, and the control endpoint. Reading flags and printing are the command's business.

import { runWithControl } from "../http-control.ts";
import { startControl } from "./control.ts";
import { startMittwald, type MittwaldSimulator } from "./server.ts";

export interface SimulateMittwaldOptions {
  /** Port of the API on 127.0.0.1; 0 for a free one. */
  port: number;
  token: string;
  /** A token that may only read. */
  readToken?: string;
  /** How many projects, each with its default stack. */
  projects: number;
  /** How long a pull takes, ms. */
  pullMs: number;
  /** How long a container takes to start, ms. */
  startMs: number;
  /** How long a container takes to stop, ms. */
  stopMs: number;
  /** How late reads see what was written, ms. */
  lagMs: number;
  /** Requests a minute. */
  rateLimit: number;
  seed: string;
  controlPort?: number;
  log?: (line: string) => void;
  onReady?: (ready: { vendor: MittwaldSimulator; controlUrl: string | undefined }) => void;
}

/**
 * Runs until the signal aborts.
 * @throws when a port is taken
 */
export async function simulateMittwald(options: SimulateMittwaldOptions, signal: AbortSignal): Promise<void> {
  const { projects, lagMs, rateLimit, controlPort, onReady, ...rest } = options;
  const vendor = await startMittwald({
    ...rest,
    projects: Array.from({ length: projects }, () => ({})),
    quirks: { lagMs, rateLimit },
  });
  await runWithControl(vendor, controlPort, startControl, onReady, signal);
}

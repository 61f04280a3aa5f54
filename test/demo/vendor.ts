// A vendor's cloud in the demo: `drayage simulate alpon`, `hiveon` or `mittwald` as a process of its own, with an API key that is made for this run. Its
// control endpoint (docs/simulators.md) opens the vendor's books to the demo: what really runs there, and what it costs.

import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { Component, ControlPlane } from "../controlplane/index.ts";
import { messageOf } from "../controlplane/admin.ts";

/** The vendors with an HTTP API, and the options that their simulators take in the demo. */
const OPTIONS = {
  // Four events of the download, one of the unpacking and one of the start: slow enough to be watched.
  alpon: ["--devices=1", "--serial-prefix=oslo-", "--step-time=1s"],
  // A minute of rent passes in a second; starting and stopping take a second of ours.
  hiveon: ["--machines=1", "--machine-id-prefix=rig-", "--speed=60", "--start-time=1s", "--stop-time=1s"],
  // What is written is seen a moment later, as at the real vendor.
  mittwald: ["--projects=1", "--lag=300ms", "--pull-time=1s", "--start-time=500ms", "--stop-time=500ms"],
} as const;

/** What each calls the file with the key. */
const KEY_OPTIONS = { alpon: "--api-key-file", hiveon: "--api-key-file", mittwald: "--token-file" } as const;

export type VendorName = keyof typeof OPTIONS;
export const VENDORS = ["alpon", "hiveon", "mittwald"] as const satisfies readonly VendorName[];

/** A container in ALPON's books. */
export interface AlponContainer {
  name: string;
  image: string;
  state: string;
}

/** A rental in Hiveon's books. */
export interface HiveonRental {
  machineId: string;
  status: string;
  rented: boolean;
  cost: number;
}

/** A stack in mittwald's books. */
export interface MittwaldStack {
  id: string;
  projectId: string;
  containers: string[];
  volumes: { name: string }[];
}

export class SimulatedVendor {
  readonly program: Component;
  /** What the EdgeBackend's Secret has to hold. */
  readonly apiKey: string;

  private constructor(program: Component, apiKey: string) {
    this.program = program;
    this.apiKey = apiKey;
  }

  /** @param bundle path of drayage.mjs */
  static async start(
    controlPlane: ControlPlane,
    name: VendorName,
    bundle: string,
    env: NodeJS.ProcessEnv,
  ): Promise<SimulatedVendor> {
    const apiKey = randomBytes(16).toString("hex");
    const apiKeyFile = join(controlPlane.dir, `${name}-api-key`);
    writeFileSync(apiKeyFile, apiKey, { mode: 0o600 });
    const program: Component = controlPlane.program({
      name: `vendor-${name}`,
      binary: process.execPath,
      args: [
        bundle,
        "simulate",
        name,
        "--port=0",
        ...OPTIONS[name],
        `${KEY_OPTIONS[name]}=${apiKeyFile}`,
        "--control-port=0",
      ],
      env,
      ready: async () => Promise.resolve(printed(program, CONTROL) !== undefined),
    });
    await program.start();
    return new SimulatedVendor(program, apiKey);
  }

  /** Address of the vendor's API. */
  get url(): string {
    return printed(this.program, API) ?? "";
  }

  /** Id of mittwald's project. */
  get project(): string {
    return printed(this.program, PROJECT) ?? "";
  }

  /** Every stack of mittwald's project. */
  async stacks(): Promise<MittwaldStack[]> {
    return (await this.#look("stacks")) as MittwaldStack[];
  }

  /** What runs on the ALPON device, whatever anybody believes of it. */
  async containers(): Promise<AlponContainer[]> {
    const devices = (await this.#look("devices")) as { containers: AlponContainer[] }[];
    return devices.flatMap(({ containers }) => containers);
  }

  /** Every rental that Hiveon ever began. */
  async rentals(): Promise<HiveonRental[]> {
    return (await this.#look("rentals")) as HiveonRental[];
  }

  async #look(view: string): Promise<unknown> {
    const url = `${printed(this.program, CONTROL)}/${view}`;
    const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
    const body: unknown = await response.json();
    if (!response.ok) {
      throw new Error(`GET ${url}: ${response.status} ${messageOf(body)}`);
    }
    return body;
  }
}

const API = /^simulated .* API on (http:\S+?)(?:: |$)/m;
const PROJECT = /^project (\S+)/m;
const CONTROL = /^control endpoint: (\S+)$/m;

/** The addresses stand in what the program has printed, once it serves. */
function printed(program: Component, pattern: RegExp): string | undefined {
  return pattern.exec(readFileSync(program.logFile, "utf8"))?.[1];
}

/** How long a meter has not moved, by readings of it. */
export class Meter {
  #cost = Number.NaN;
  #sinceMs = 0;

  /** @returns for how long every reading has been this one, ms; 0 at the first and at each that differs */
  read(cost: number): number {
    const now = performance.now();
    if (cost !== this.#cost) {
      this.#cost = cost;
      this.#sinceMs = now;
    }
    return now - this.#sinceMs;
  }
}

// One site of the demo: an MQTT broker in this process, and behind it a simulated Kanto device, `drayage simulate kanto`, as a process of its
// own. Its control endpoint (docs/simulators.md) is the demo's hand at the device: it pulls the plug, and it looks at what really runs there.

import { readFileSync } from "node:fs";
import process from "node:process";
import type { Component, ControlPlane } from "../controlplane/index.ts";
import { startBroker, type TestBroker } from "../mqtt/broker.ts";

/** A container that exists on the device. */
export interface Truth {
  id: string;
  name: string;
  imageRef: string;
  config: { env?: string[] };
  processStarts: number;
}

export class SimulatedDevice {
  readonly site: string;
  readonly broker: TestBroker;
  readonly #program: Component;
  readonly #deviceId: string;

  private constructor(site: string, broker: TestBroker, program: Component) {
    this.site = site;
    this.broker = broker;
    this.#program = program;
    this.#deviceId = `${site}:press-1`;
  }

  /**
   * Starts broker and device.
   * @param bundle path of drayage.mjs
   */
  static async start(
    controlPlane: ControlPlane,
    site: string,
    bundle: string,
    env: NodeJS.ProcessEnv,
  ): Promise<SimulatedDevice> {
    const broker = await startBroker();
    const flags = { "broker-url": broker.url, "device-id-prefix": `${site}:press-`, "tenant-id": "factory" };
    const program: Component = controlPlane.program({
      name: `device-${site}`,
      binary: process.execPath,
      args: [
        bundle,
        "simulate",
        "kanto",
        ...Object.entries(flags).map(([name, value]) => `--${name}=${value}`),
        "--control-port=0",
      ],
      env,
      ready: async () => Promise.resolve(controlUrl(program) !== undefined),
    });
    try {
      await program.start();
    } catch (error) {
      await broker.close();
      throw error;
    }
    return new SimulatedDevice(site, broker, program);
  }

  get program(): Component {
    return this.#program;
  }

  /** The network of the device goes away; its containers go on. */
  async goOffline(): Promise<void> {
    await this.#control("POST", "/offline");
  }

  async comeBack(): Promise<void> {
    await this.#control("POST", "/online");
  }

  /** The containers that exist on the device now, whatever anybody believes of them. */
  async containers(): Promise<Truth[]> {
    const { containers } = (await this.#control("GET", "")) as { containers: (Truth & { exists: boolean })[] };
    return containers.filter(({ exists }) => exists);
  }

  async #control(method: string, action: string): Promise<unknown> {
    const url = `${controlUrl(this.#program)}/devices/${encodeURIComponent(this.#deviceId)}${action}`;
    const response = await fetch(url, { method, signal: AbortSignal.timeout(10_000) });
    const text = await response.text();
    if (!response.ok) {
      throw new Error(`${method} ${url}: ${response.status} ${text.trim()}`);
    }
    return text === "" ? undefined : JSON.parse(text);
  }
}

/** The address stands in what the program has printed, once it serves. */
function controlUrl(program: Component): string | undefined {
  return /^control endpoint: (\S+)$/m.exec(readFileSync(program.logFile, "utf8"))?.[1];
}

// What `drayage simulate kanto` runs: a number of devices on one broker, each with its own connector, and the control endpoint. Given a broker
// in the cloud, the connectors are suite-connectors that carry the devices' messages to it. Reading flags and printing are the command's
// business, not this file's.

import { startDitto, type Ditto } from "../ditto/index.ts";
import type { ImageTable } from "./images.ts";
import { startControl } from "./control.ts";
import { startKantoDevice, type KantoDevice } from "./device.ts";
import type { Credentials, TlsOptions } from "./mqtt-socket.ts";
import { thingId } from "./twin.ts";
import { startSuiteConnector, type BrokerAccess, type SuiteConnector } from "./suite-connector.ts";

export interface SimulateKantoOptions {
  /** `mqtt://` or `mqtts://` URL. */
  brokerUrl: string;
  credentials?: Credentials;
  tls?: TlsOptions;
  /** How many devices. Default 1. */
  devices?: number;
  /** Device ids are this and 1, 2, … Default `edge:device-`. */
  deviceIdPrefix?: string;
  /** Default `t1`. */
  tenantId?: string;
  /** Port of the control endpoint on 127.0.0.1, 0 for a free one; absent: none. */
  controlPort?: number;
  /** Makes ids, pids and orders repeatable. Default `kanto`. */
  seed?: string;
  /** What images do, over what their names suggest. */
  images?: ImageTable;
  /** Duration of a pull, ms. Default 2000: long enough to be seen. */
  pullMs?: number;
  /** Leaves the answer to identity requests to somebody else on the broker (then `devices` must be 1). Default false. */
  externalConnector?: boolean;
  /** A broker in the cloud: each device gets a suite-connector to it, in generic mode. */
  cloud?: BrokerAccess;
  /** First pause before a connector tries the cloud again, ms. Default 60000, as the real one's. */
  cloudReconnectMs?: number;
  /** An Eclipse Ditto in front of the devices, on 127.0.0.1; absent: none. */
  ditto?: { port: number; username: string; password: string };
  /** Receives one line for each thing worth knowing. */
  log?: (line: string) => void;
  /** Called once all devices are started. */
  onReady?: (ready: {
    devices: readonly KantoDevice[];
    controlUrl: string | undefined;
    dittoUrl: string | undefined;
  }) => void;
}

/** What is wrong with the options; undefined when nothing is. */
export function checkSimulateOptions({
  brokerUrl,
  devices = 1,
  deviceIdPrefix = "edge:device-",
  externalConnector,
  cloud,
}: SimulateKantoOptions): string | undefined {
  if (!isBrokerUrl(brokerUrl)) {
    return `broker URL must be mqtt://host:port or mqtts://host:port, not ${brokerUrl}`;
  }
  if (cloud && !isBrokerUrl(cloud.url)) {
    return `cloud broker URL must be mqtt://host:port or mqtts://host:port, not ${cloud.url}`;
  }
  if (cloud && externalConnector) {
    return "an external connector and a cloud broker, which each device's own connector is for, exclude each other";
  }
  if (!Number.isInteger(devices) || devices < 1 || devices > 10_000) {
    return `devices must be a whole number from 1 to 10000, not ${devices}`;
  }
  if (!/^[^:/+#\s]+:[^/+#\s]*$/.test(deviceIdPrefix)) {
    return `device id prefix must have the form <namespace>:<name>, without / + # and spaces, not ${deviceIdPrefix}`;
  }
  return externalConnector && devices > 1
    ? "an external connector can serve only one device: its announcement reaches every daemon on the broker"
    : undefined;
}

function isBrokerUrl(url: string): boolean {
  return URL.canParse(url) && ["mqtt:", "tcp:", "mqtts:", "ssl:", "tls:"].includes(new URL(url).protocol);
}

/**
 * Runs the devices until the signal aborts.
 * @throws Error when an option is wrong or the control port is taken; a broker that is away is waited for, as the daemon does
 */
export async function simulateKanto(options: SimulateKantoOptions, signal: AbortSignal): Promise<void> {
  const wrong = checkSimulateOptions(options);
  if (wrong !== undefined) {
    throw new Error(wrong);
  }
  const {
    devices: count = 1,
    deviceIdPrefix = "edge:device-",
    seed = "kanto",
    pullMs = 2000,
    brokerUrl,
    credentials,
    tls,
    images,
    tenantId,
    log,
  } = options;
  const devices: KantoDevice[] = [];
  const connectors = new Map<string, SuiteConnector>();
  const deviceIds = Array.from({ length: count }, (_, index) => `${deviceIdPrefix}${index + 1}`);
  const ditto = await dittoOf(options, deviceIds);
  const control =
    options.controlPort === undefined ? undefined : await startControl(devices, options.controlPort, connectors);
  try {
    for (const deviceId of deviceIds) {
      if (signal.aborted) {
        break;
      }
      if (options.cloud) {
        connectors.set(deviceId, await connectorOf(options, options.cloud, deviceId));
      }
      devices.push(
        await startKantoDevice({
          brokerUrl,
          deviceId,
          seed: `${seed} ${deviceId}`,
          pullMs,
          // One device has its broker to itself, and its suite-connector answers; several share theirs, where an answer reaches all of them.
          answerIdentity: !options.externalConnector && !(options.cloud && count === 1),
          ...(credentials ? { credentials } : {}),
          ...(tls ? { tls } : {}),
          ...(images ? { images } : {}),
          ...(tenantId === undefined ? {} : { tenantId }),
          ...(log ? { log } : {}),
        }),
      );
    }
    options.onReady?.({ devices, controlUrl: control?.url, dittoUrl: ditto?.url });
    if (!signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      signal.addEventListener("abort", () => resolve(), { once: true });
      await promise;
    }
  } finally {
    await Promise.allSettled(devices.map(async (device) => device.stop()));
    await Promise.allSettled([...connectors.values()].map(async (connector) => connector.stop()));
    await control?.close();
    await ditto?.close();
  }
}

/** Started before the devices: what they publish at their start is what the twins are made of. */
async function dittoOf(
  { ditto, brokerUrl, credentials, tls }: SimulateKantoOptions,
  deviceIds: readonly string[],
): Promise<Ditto | undefined> {
  return (
    ditto &&
    startDitto({
      brokerUrl,
      port: ditto.port,
      users: { basic: { [ditto.username]: ditto.password } },
      things: deviceIds.map(thingId),
      awaitBroker: false,
      ...(credentials ? { credentials } : {}),
      ...(tls ? { tls } : {}),
    })
  );
}

async function connectorOf(
  { brokerUrl, credentials, tls, tenantId, cloudReconnectMs, log }: SimulateKantoOptions,
  cloud: BrokerAccess,
  deviceId: string,
): Promise<SuiteConnector> {
  return startSuiteConnector({
    local: { url: brokerUrl, ...(credentials ? { credentials } : {}), ...(tls ? { tls } : {}) },
    cloud,
    deviceId,
    ...(tenantId === undefined ? {} : { tenantId }),
    ...(cloudReconnectMs === undefined ? {} : { reconnectMs: cloudReconnectMs }),
    ...(log ? { log } : {}),
  });
}

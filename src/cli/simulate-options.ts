import { readFile } from "node:fs/promises";
import type { SimulateKantoOptions } from "../simulators/kanto/cli.ts";
import { type OptionTable, type OptionValues, UsageError } from "./option-table.ts";
import { brokerUrl, duration, text, truth, wholeNumber } from "./values.ts";

const BROKER = "Broker:";
const FLEET = "Devices:";
const CONTROL = "Control:";

/** The options of `drayage simulate kanto`. */
export const SIMULATE_KANTO_OPTIONS = {
  brokerUrl: {
    value: "url",
    group: BROKER,
    help: "MQTT broker to connect to, mqtt://host:port or mqtts://host:port",
    parse: brokerUrl(),
    isConcealed: true,
    default: "mqtt://127.0.0.1:1883",
  },
  username: {
    value: "name",
    group: BROKER,
    help: "user name at the broker",
    parse: text(),
    default: undefined,
    defaultHelp: "none",
  },
  passwordFile: {
    value: "file",
    group: BROKER,
    help: "file that holds the password; a password on a command line can be read by everybody on the machine",
    parse: text(),
    default: undefined,
    defaultHelp: "none",
  },
  caFile: {
    value: "file",
    group: BROKER,
    help: "PEM file of the authority to trust",
    parse: text(),
    default: undefined,
    defaultHelp: "the machine's own",
  },
  certFile: {
    value: "file",
    group: BROKER,
    help: "PEM file of the client certificate; needs --key-file",
    parse: text(),
    default: undefined,
    defaultHelp: "none",
  },
  keyFile: {
    value: "file",
    group: BROKER,
    help: "PEM file of the client certificate's key",
    parse: text(),
    default: undefined,
    defaultHelp: "none",
  },
  devices: {
    value: "count",
    group: FLEET,
    help: "how many devices to simulate",
    parse: wholeNumber({ min: 1, max: 10_000 }),
    default: "1",
  },
  deviceIdPrefix: {
    value: "prefix",
    group: FLEET,
    help: "thing ids are this and 1, 2, ...",
    parse: text(),
    default: "edge:device-",
  },
  tenantId: {
    value: "id",
    group: FLEET,
    help: "tenant that the devices belong to",
    parse: text(),
    default: "t1",
  },
  pullTime: {
    value: "duration",
    group: FLEET,
    help: "how long pulling an image takes",
    parse: duration({ minMs: 0, maxMs: 3_600_000 }),
    default: "2s",
  },
  seed: {
    value: "text",
    group: FLEET,
    help: "makes ids and orders repeatable",
    parse: text(),
    default: "kanto",
  },
  externalConnector: {
    value: "true|false",
    alone: "true",
    group: FLEET,
    help: "leave identity requests to another program on the broker; one device only",
    parse: truth(),
    default: "false",
  },
  controlPort: {
    value: "port",
    group: CONTROL,
    help: "port on 127.0.0.1 of the HTTP endpoint that switches faults on and off; 0 for any free one",
    parse: wholeNumber({ min: 0, max: 65_535 }),
    default: undefined,
    defaultHelp: "no endpoint",
  },
} as const satisfies OptionTable;

type Values = OptionValues<typeof SIMULATE_KANTO_OPTIONS>;

/**
 * What the simulator wants to know, with the files read.
 *
 * @throws UsageError if options contradict each other; Error naming the file that cannot be read.
 */
export async function simulateKantoOptions(values: Values): Promise<SimulateKantoOptions> {
  const { username, passwordFile, caFile, certFile, keyFile, controlPort } = values;
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw new UsageError("options --cert-file and --key-file are only of use together");
  }
  if (passwordFile !== undefined && username === undefined) {
    throw new UsageError("option --password-file needs --username");
  }
  const password = passwordFile === undefined ? "" : (await read("--password-file", passwordFile)).trimEnd();
  const tls = {
    ...(caFile === undefined ? {} : { ca: await read("--ca-file", caFile) }),
    ...(certFile === undefined ? {} : { cert: await read("--cert-file", certFile) }),
    ...(keyFile === undefined ? {} : { key: await read("--key-file", keyFile) }),
  };
  return {
    brokerUrl: values.brokerUrl,
    devices: values.devices,
    deviceIdPrefix: values.deviceIdPrefix,
    tenantId: values.tenantId,
    pullMs: values.pullTime,
    seed: values.seed,
    externalConnector: values.externalConnector,
    ...(username === undefined ? {} : { credentials: { username, password } }),
    ...(Object.keys(tls).length === 0 ? {} : { tls }),
    ...(controlPort === undefined ? {} : { controlPort }),
  };
}

async function read(option: string, file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw new Error(`cannot read the file of ${option}`, { cause: error });
  }
}

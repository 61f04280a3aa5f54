import type { SimulateKantoOptions } from "../simulators/kanto/cli.ts";
import { BROKER_OPTIONS, readLogin, readOptionFile } from "./broker-options.ts";
import { UsageError, type OptionTable, type OptionValues } from "./option-table.ts";
import { brokerUrl, duration, text, truth, wholeNumber } from "./values.ts";

const CLOUD = "Cloud:";
const DITTO = "Ditto:";
const FLEET = "Devices:";
const CONTROL = "Control:";

/** The options of `drayage simulate kanto`. */
export const SIMULATE_KANTO_OPTIONS = {
  ...BROKER_OPTIONS,
  cloudBrokerUrl: {
    value: "url",
    group: CLOUD,
    help: "broker in the cloud; each device gets a suite-connector to it (transport Connector)",
    parse: brokerUrl(),
    isConcealed: true,
    default: undefined,
    defaultHelp: "none",
  },
  cloudUsername: {
    value: "name",
    group: CLOUD,
    help: "user name at the broker in the cloud",
    parse: text(),
    default: undefined,
    defaultHelp: "none",
  },
  cloudPasswordFile: {
    value: "file",
    group: CLOUD,
    help: "file that holds the password there",
    parse: text(),
    default: undefined,
    defaultHelp: "none",
  },
  cloudCaFile: {
    value: "file",
    group: CLOUD,
    help: "PEM file of the authority to trust there",
    parse: text(),
    default: undefined,
    defaultHelp: "the machine's own",
  },
  cloudReconnect: {
    value: "duration",
    group: CLOUD,
    help: "first pause before a connector tries the cloud again; doubles up to four times this",
    parse: duration({ minMs: 10, maxMs: 3_600_000 }),
    default: "60s",
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
  dittoPort: {
    value: "port",
    group: DITTO,
    help: "port on 127.0.0.1 of an Eclipse Ditto in front of the devices (transport Ditto); 0 for any free one",
    parse: wholeNumber({ min: 0, max: 65_535 }),
    default: undefined,
    defaultHelp: "no Ditto",
  },
  dittoUsername: {
    value: "name",
    group: DITTO,
    help: "user name that the Ditto takes",
    parse: text(),
    default: "ditto",
  },
  dittoPasswordFile: {
    value: "file",
    group: DITTO,
    help: "file that holds the password of that user",
    parse: text(),
    default: undefined,
    defaultHelp: "the password is ditto",
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
  const { controlPort } = values;
  const cloud = await cloudAccess(values);
  const ditto = await dittoAccess(values);
  return {
    ...(ditto === undefined ? {} : { ditto }),
    ...(cloud === undefined ? {} : { cloud, cloudReconnectMs: values.cloudReconnect }),
    brokerUrl: values.brokerUrl,
    devices: values.devices,
    deviceIdPrefix: values.deviceIdPrefix,
    tenantId: values.tenantId,
    pullMs: values.pullTime,
    seed: values.seed,
    externalConnector: values.externalConnector,
    ...(await readLogin(values)),
    ...(controlPort === undefined ? {} : { controlPort }),
  };
}

async function dittoAccess(values: Values): Promise<SimulateKantoOptions["ditto"]> {
  const { dittoPort: port, dittoUsername: username, dittoPasswordFile: file } = values;
  if (port === undefined) {
    if (file !== undefined) throw new UsageError("option --ditto-password-file needs --ditto-port");
    return undefined;
  }
  const password = file === undefined ? "ditto" : (await readOptionFile("--ditto-password-file", file)).trimEnd();
  return { port, username, password };
}

async function cloudAccess(values: Values): Promise<SimulateKantoOptions["cloud"]> {
  const { cloudBrokerUrl: url, cloudUsername: username, cloudPasswordFile, cloudCaFile } = values;
  if (url === undefined) {
    if ([username, cloudPasswordFile, cloudCaFile].some((value) => value !== undefined)) {
      throw new UsageError(
        "options --cloud-username, --cloud-password-file and --cloud-ca-file need --cloud-broker-url",
      );
    }
    return undefined;
  }
  if (cloudPasswordFile !== undefined && username === undefined) {
    throw new UsageError("option --cloud-password-file needs --cloud-username");
  }
  const password =
    cloudPasswordFile === undefined ? "" : (await readOptionFile("--cloud-password-file", cloudPasswordFile)).trimEnd();
  return {
    url,
    ...(username === undefined ? {} : { credentials: { username, password } }),
    ...(cloudCaFile === undefined ? {} : { tls: { ca: await readOptionFile("--cloud-ca-file", cloudCaFile) } }),
  };
}

import { readFile } from "node:fs/promises";
import type { SimulateHiveonOptions } from "../simulators/hiveon/cli.ts";
import { type OptionTable, type OptionValues, UsageError } from "./option-table.ts";
import { SIMULATE_KANTO_OPTIONS } from "./simulate-options.ts";
import { duration, text, wholeNumber } from "./values.ts";

const API = "API:";
const MACHINES = "Machines:";
const WEBHOOKS = "Webhooks:";

/** The options of `drayage simulate hiveon`. */
export const SIMULATE_HIVEON_OPTIONS = {
  port: {
    value: "port",
    group: API,
    help: "port of the API on 127.0.0.1; 0 for any free one",
    parse: wholeNumber({ min: 0, max: 65_535 }),
    default: "8095",
  },
  apiKeyFile: {
    value: "file",
    group: API,
    help: "file that holds the API key that is taken",
    parse: text(),
    default: undefined,
    defaultHelp: "the key hiveon-key",
  },
  machines: {
    value: "count",
    group: MACHINES,
    help: "how many machines are for rent",
    parse: wholeNumber({ min: 1, max: 10_000 }),
    default: "3",
  },
  machineIdPrefix: {
    value: "prefix",
    group: MACHINES,
    help: "machine ids are this and 1, 2, ...; their prices <machine id>-price",
    parse: text(),
    default: "machine-",
  },
  startTime: {
    value: "duration",
    group: MACHINES,
    help: "how long a rental takes to run",
    parse: duration({ minMs: 0, maxMs: 3_600_000 }),
    default: "5s",
  },
  stopTime: {
    value: "duration",
    group: MACHINES,
    help: "how long a rental takes to stop",
    parse: duration({ minMs: 0, maxMs: 3_600_000 }),
    default: "2s",
  },
  speed: {
    value: "factor",
    group: MACHINES,
    help: "how many times faster than real the vendor's time passes, for the meter",
    parse: wholeNumber({ min: 1, max: 100_000 }),
    default: "1",
  },
  seed: {
    value: "text",
    group: MACHINES,
    help: "makes ids repeatable",
    parse: text(),
    default: "hiveon",
  },
  webhookUrl: {
    value: "url",
    group: WEBHOOKS,
    help: "where events are posted to; needs --webhook-secret-file",
    parse: text(),
    default: undefined,
    defaultHelp: "nowhere",
  },
  webhookSecretFile: {
    value: "file",
    group: WEBHOOKS,
    help: "file that holds the secret that events are signed with",
    parse: text(),
    default: undefined,
    defaultHelp: "none",
  },
  controlPort: SIMULATE_KANTO_OPTIONS.controlPort,
} as const satisfies OptionTable;

/**
 * What the Hiveon simulator wants to know, with the files read.
 *
 * @throws UsageError if options contradict each other; Error naming the file that cannot be read.
 */
export async function simulateHiveonOptions(
  values: OptionValues<typeof SIMULATE_HIVEON_OPTIONS>,
): Promise<SimulateHiveonOptions> {
  const { apiKeyFile, webhookUrl, webhookSecretFile, controlPort, startTime, stopTime, ...rest } = values;
  if ((webhookUrl === undefined) !== (webhookSecretFile === undefined)) {
    throw new UsageError("options --webhook-url and --webhook-secret-file are only of use together");
  }
  const apiKey = apiKeyFile === undefined ? "hiveon-key" : (await read("--api-key-file", apiKeyFile)).trimEnd();
  return {
    port: rest.port,
    apiKey,
    machines: rest.machines,
    machineIdPrefix: rest.machineIdPrefix,
    startMs: startTime * rest.speed,
    stopMs: stopTime * rest.speed,
    speed: rest.speed,
    seed: rest.seed,
    ...(webhookUrl !== undefined &&
      webhookSecretFile !== undefined && {
        webhook: { url: webhookUrl, secret: (await read("--webhook-secret-file", webhookSecretFile)).trimEnd() },
      }),
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

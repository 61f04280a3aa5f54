import type { SimulateAlponOptions } from "../simulators/alpon/cli.ts";
import { readOptionFile } from "./broker-options.ts";
import type { OptionTable, OptionValues } from "./option-table.ts";
import { SIMULATE_KANTO_OPTIONS } from "./simulate-options.ts";
import { duration, oneOf, text, wholeNumber } from "./values.ts";

const API = "API:";
const DEVICES = "Devices:";

/** The options of `drayage simulate alpon`. */
export const SIMULATE_ALPON_OPTIONS = {
  port: {
    value: "port",
    group: API,
    help: "port of the API on 127.0.0.1; 0 for any free one",
    parse: wholeNumber({ min: 0, max: 65_535 }),
    default: "8097",
  },
  apiKeyFile: {
    value: "file",
    group: API,
    help: "file that holds the API key that is taken",
    parse: text(),
    default: undefined,
    defaultHelp: "the key alpon-key",
  },
  framing: {
    value: "form",
    group: API,
    help: "how streams are framed: sse-lf, sse-crlf-ping, ndjson, concatenated or single-json",
    parse: oneOf(["sse-lf", "sse-crlf-ping", "ndjson", "concatenated", "single-json"]),
    default: "sse-lf",
  },
  devices: {
    value: "count",
    group: DEVICES,
    help: "how many devices there are",
    parse: wholeNumber({ min: 1, max: 10_000 }),
    default: "3",
  },
  serialPrefix: {
    value: "prefix",
    group: DEVICES,
    help: "serial numbers are this and 1, 2, ...",
    parse: text(),
    default: "alpon-",
  },
  stepTime: {
    value: "duration",
    group: DEVICES,
    help: "time between two events of a deployment; there are about seven",
    parse: duration({ minMs: 0, maxMs: 3_600_000 }),
    default: "500ms",
  },
  controlPort: SIMULATE_KANTO_OPTIONS.controlPort,
} as const satisfies OptionTable;

/**
 * What the ALPON simulator wants to know, with the files read.
 *
 * @throws Error naming the file that cannot be read.
 */
export async function simulateAlponOptions(
  values: OptionValues<typeof SIMULATE_ALPON_OPTIONS>,
): Promise<SimulateAlponOptions> {
  const { apiKeyFile, controlPort, stepTime, ...rest } = values;
  return {
    ...rest,
    apiKey: apiKeyFile === undefined ? "alpon-key" : (await readOptionFile("--api-key-file", apiKeyFile)).trimEnd(),
    stepMs: stepTime,
    ...(controlPort === undefined ? {} : { controlPort }),
  };
}

import type { SimulateMittwaldOptions } from "../simulators/mittwald/cli.ts";
import { readOptionFile } from "./broker-options.ts";
import type { OptionTable, OptionValues } from "./option-table.ts";
import { SIMULATE_KANTO_OPTIONS } from "./simulate-options.ts";
import { duration, text, wholeNumber } from "./values.ts";

const API = "API:";
const PROJECTS = "Projects:";

const time = duration({ minMs: 0, maxMs: 3_600_000 });

/** The options of `drayage simulate mittwald`. */
export const SIMULATE_MITTWALD_OPTIONS = {
  port: {
    value: "port",
    group: API,
    help: "port of the API on 127.0.0.1; 0 for any free one",
    parse: wholeNumber({ min: 0, max: 65_535 }),
    default: "8099",
  },
  tokenFile: {
    value: "file",
    group: API,
    help: "file that holds the token that is taken",
    parse: text(),
    default: undefined,
    defaultHelp: "the token mittwald-token",
  },
  readTokenFile: {
    value: "file",
    group: API,
    help: "file that holds a token that may only read",
    parse: text(),
    default: undefined,
    defaultHelp: "there is none",
  },
  lag: {
    value: "duration",
    group: API,
    help: "how late reads see what was written",
    parse: time,
    default: "300ms",
  },
  rateLimit: {
    value: "count",
    group: API,
    help: "requests a minute beyond which the answer is 429",
    parse: wholeNumber({ min: 1, max: 1_000_000 }),
    default: "3000",
  },
  projects: {
    value: "count",
    group: PROJECTS,
    help: "how many projects there are, each with its default stack",
    parse: wholeNumber({ min: 1, max: 1000 }),
    default: "1",
  },
  pullTime: {
    value: "duration",
    group: PROJECTS,
    help: "how long pulling an image takes",
    parse: time,
    default: "2s",
  },
  startTime: {
    value: "duration",
    group: PROJECTS,
    help: "how long a container takes to start",
    parse: time,
    default: "1s",
  },
  stopTime: {
    value: "duration",
    group: PROJECTS,
    help: "how long a container takes to stop",
    parse: time,
    default: "1s",
  },
  seed: {
    value: "text",
    group: PROJECTS,
    help: "makes ids repeatable",
    parse: text(),
    default: "mittwald",
  },
  controlPort: SIMULATE_KANTO_OPTIONS.controlPort,
} as const satisfies OptionTable;

/**
 * What the mittwald simulator wants to know, with the files read.
 *
 * @throws Error naming the file that cannot be read.
 */
export async function simulateMittwaldOptions(
  values: OptionValues<typeof SIMULATE_MITTWALD_OPTIONS>,
): Promise<SimulateMittwaldOptions> {
  const { tokenFile, readTokenFile, lag, pullTime, startTime, stopTime, controlPort, ...rest } = values;
  return {
    ...rest,
    token: tokenFile === undefined ? "mittwald-token" : (await readOptionFile("--token-file", tokenFile)).trimEnd(),
    ...(readTokenFile !== undefined && {
      readToken: (await readOptionFile("--read-token-file", readTokenFile)).trimEnd(),
    }),
    lagMs: lag,
    pullMs: pullTime,
    startMs: startTime,
    stopMs: stopTime,
    ...(controlPort === undefined ? {} : { controlPort }),
  };
}

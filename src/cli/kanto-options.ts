import { OPERATIONS, parseCall, type Call, type OperationName } from "../backends/kanto/client/operations.ts";
import { kantoTarget, type KantoTarget } from "../backends/kanto/topics.ts";
import { BROKER_OPTIONS, readOptionFile } from "./broker-options.ts";
import { flagOf, type OptionTable, type OptionValues, UsageError } from "./option-table.ts";
import { duration, json, oneOf, text, truth } from "./values.ts";

const DEVICE = "Device:";
const OPERATION = "Operation:";
const SAFETY = "Safety:";
const OUTPUT = "Output:";

const HOUR_MS = 3_600_000;

/** Options of every command that speaks to one Kanto device. */
const DEVICE_OPTIONS = {
  ...BROKER_OPTIONS,
  serverName: {
    value: "name",
    group: "Broker:",
    help: "name that the broker's certificate has to be for",
    parse: text(),
    default: undefined,
    defaultHelp: "the host of --broker-url",
  },
  mqttVersion: {
    value: "version",
    group: "Broker:",
    help: "3.1.1 or 5; a broker that does not speak 5 gets 3.1.1",
    parse: oneOf(["3.1.1", "5"]),
    default: "3.1.1",
  },
  thing: {
    value: "id",
    group: DEVICE,
    help: "the device: id of its gateway (edge:device) or of its containers thing (edge:device:edge:containers)",
    parse: text(),
    default: undefined,
    defaultHelp: "none; has to be given",
  },
  topicPrefix: {
    value: "prefix",
    group: DEVICE,
    help: "put before every topic, such as site-7/, where a bridge adds it",
    parse: text(),
    default: undefined,
    defaultHelp: "none",
  },
} as const satisfies OptionTable;

const OUTPUT_OPTION = {
  output: {
    value: "form",
    short: "o",
    group: OUTPUT,
    help: "human or json",
    parse: oneOf(["human", "json"]),
    default: "human",
  },
} as const satisfies OptionTable;

const TENANT_HELP =
  "tenant of the device. Announcing its identity makes a device tell its containers, and a wrong tenant would take the device from " +
  "its connector";

/** Flags that stand for a part of an operation's value, and the operations that have it. */
const PARTS = {
  image: ["create", "createWithConfig"],
  start: ["create", "createWithConfig"],
  name: ["createWithConfig", "rename"],
  stopSignal: ["stopWithOptions"],
  grace: ["stopWithOptions"],
  force: ["stopWithOptions", "remove"],
} as const satisfies Record<string, readonly OperationName[]>;

/** The options of `drayage kanto call`. */
export const CALL_OPTIONS = {
  ...DEVICE_OPTIONS,
  container: {
    value: "id",
    group: OPERATION,
    help: "id of the container on the device, as drayage kanto list shows it; for all operations but create and createWithConfig",
    parse: text(),
    default: undefined,
    defaultHelp: "none",
  },
  value: {
    value: "json",
    group: OPERATION,
    help: "the operation's value as the vendor's API has it; with secrets in it, use --value-file",
    parse: json(),
    isConcealed: true,
    default: undefined,
    defaultHelp: "what the flags below say",
  },
  valueFile: {
    value: "file",
    group: OPERATION,
    help: "file that holds it",
    parse: text(),
    default: undefined,
    defaultHelp: "none",
  },
  image: {
    value: "reference",
    group: OPERATION,
    help: "image, with registry and tag or digest; for create and createWithConfig",
    parse: text(),
    default: undefined,
    defaultHelp: "none",
  },
  name: {
    value: "name",
    group: OPERATION,
    help: "name of the container; for createWithConfig and rename",
    parse: text(),
    default: undefined,
    defaultHelp: "none",
  },
  start: {
    value: "true|false",
    alone: "true",
    group: OPERATION,
    help: "start it at once, and hear nothing of it should that fail; for create and createWithConfig",
    parse: truth(),
    default: undefined,
    defaultHelp: "false",
  },
  stopSignal: {
    value: "signal",
    group: OPERATION,
    help: "signal that asks the process to end; for stopWithOptions",
    parse: text(),
    default: undefined,
    defaultHelp: "the device's own, SIGTERM",
  },
  grace: {
    value: "duration",
    group: OPERATION,
    help: "how long the process may take to end, whole seconds; for stopWithOptions",
    parse: duration({ minMs: 1000, maxMs: 24 * HOUR_MS }),
    default: undefined,
    defaultHelp: "the device's own, 30s",
  },
  force: {
    value: "true|false",
    alone: "true",
    group: OPERATION,
    help: "kill a process that does not end, or stop one that is to be removed; for stopWithOptions and remove",
    parse: truth(),
    default: undefined,
    defaultHelp: "false",
  },
  timeout: {
    value: "duration",
    group: OPERATION,
    help: "how long to wait for the answer; it ends the waiting, not the operation",
    parse: duration({ minMs: 100, maxMs: 24 * HOUR_MS }),
    default: undefined,
    defaultHelp: "1m; 30m for what may pull an image; the stop's own patience on top",
  },
  forceOwned: {
    value: "true|false",
    alone: "true",
    group: SAFETY,
    help:
      "do not find out first whether the container stands for an EdgeContainer. stop, stopWithOptions, pause, rename, update and remove " +
      "refuse such a container otherwise, since its operator would undo them",
    parse: truth(),
    default: "false",
  },
  tenant: {
    value: "id",
    group: SAFETY,
    help: `${TENANT_HELP}; needed to find that out`,
    parse: text(),
    default: undefined,
    defaultHelp: "none",
  },
  ...OUTPUT_OPTION,
} as const satisfies OptionTable;

/** The options of `drayage kanto list`. */
export const LIST_OPTIONS = {
  ...DEVICE_OPTIONS,
  tenant: {
    value: "id",
    group: DEVICE,
    help: TENANT_HELP,
    parse: text(),
    default: undefined,
    defaultHelp: "none; has to be given",
  },
  timeout: {
    value: "duration",
    group: DEVICE,
    help: "how long to wait for the device's list",
    parse: duration({ minMs: 100, maxMs: HOUR_MS }),
    default: "30s",
  },
  ...OUTPUT_OPTION,
} as const satisfies OptionTable;

type CallValues = OptionValues<typeof CALL_OPTIONS>;

/** @throws UsageError if the options name no device. */
export function targetOf({ thing, topicPrefix = "" }: OptionValues<typeof DEVICE_OPTIONS>): KantoTarget {
  if (thing === undefined) throw new UsageError("option --thing is missing: which device?");
  if (topicPrefix !== "" && !/^[^\s+#]*\/$/.test(topicPrefix)) {
    throw new UsageError("option --topic-prefix: a prefix ends with / and holds no +, # or blanks, e.g. site-7/");
  }
  const target = kantoTarget(thing, topicPrefix);
  if (target === undefined) {
    throw new UsageError("option --thing: write <namespace>:<name>, or <namespace>:<name>:edge:containers");
  }
  return target;
}

/**
 * The call that the options describe, checked.
 *
 * @throws UsageError naming everything that is wrong with it; Error if a file cannot be read.
 */
export async function callOf(operation: OperationName, values: CallValues): Promise<Call> {
  const given = partsOf(operation, values);
  if (values.value !== undefined && values.valueFile !== undefined) {
    throw new UsageError("options --value and --value-file are two ways to say the same: give one");
  }
  const whole =
    values.valueFile === undefined ? values.value : parseFile(await readOptionFile("--value-file", values.valueFile));
  if (whole !== undefined && given.length > 0) {
    throw new UsageError(
      `option ${flagOf(given[0] ?? "")} is a part of the value: put it into --value, or give flags only`,
    );
  }
  const parsed = parseCall(operation, values.container, whole ?? valueOf(operation, values));
  if ("call" in parsed) return parsed.call;
  let needs = OPERATIONS[operation].of === "container" && values.container === undefined ? " (option --container)" : "";
  if (whole === undefined && (operation === "create" || operation === "createWithConfig") && values.image === undefined)
    needs = " (option --image)";
  throw new UsageError(`${operation} was not sent: ${parsed.problems.join("; ")}${needs}`);
}

/** Flags that were given for parts of the value. @throws UsageError if one is none of this operation's. */
function partsOf(operation: OperationName, values: CallValues): string[] {
  const { image, start, name, stopSignal, grace, force } = values;
  const said: Readonly<Record<string, unknown>> = { image, start, name, stopSignal, grace, force };
  const given = Object.entries<readonly OperationName[]>(PARTS).filter(([part]) => said[part] !== undefined);
  for (const [part, operations] of given) {
    if (!operations.includes(operation)) {
      throw new UsageError(`option ${flagOf(part)} is for ${operations.join(" and ")}, not for ${operation}`);
    }
  }
  return given.map(([part]) => part);
}

/** The value that the flags make; undefined where they say nothing and the operation has its own. */
function valueOf(operation: OperationName, values: CallValues): unknown {
  const { image, name, start, stopSignal, grace, force } = values;
  switch (operation) {
    case "create":
    case "createWithConfig":
      return {
        ...(image !== undefined && { imageRef: image }),
        ...(name !== undefined && { name }),
        ...(start !== undefined && { start }),
      };
    case "stopWithOptions":
      return {
        ...(stopSignal !== undefined && { signal: stopSignal }),
        ...(grace !== undefined && { timeout: grace / 1000 }),
        ...(force !== undefined && { force }),
      };
    case "rename":
      return name;
    case "remove":
      return force;
    case "start":
    case "stop":
    case "pause":
    case "resume":
    case "update":
      return undefined;
    default:
      return operation satisfies never;
  }
}

function parseFile(content: string): unknown {
  try {
    return JSON.parse(content) as unknown;
  } catch {
    // The parser's own message would repeat a piece of it.
    throw new UsageError("the file of --value-file holds no JSON");
  }
}

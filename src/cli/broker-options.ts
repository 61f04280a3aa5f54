import { readFile } from "node:fs/promises";
import { type OptionTable, type OptionValues, UsageError } from "./option-table.ts";
import { brokerUrl, text } from "./values.ts";

const BROKER = "Broker:";

/** How to get to an MQTT broker; a part of the options of each command that does. */
export const BROKER_OPTIONS = {
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
} as const satisfies OptionTable;

/** What the files hold, and the user name. */
export interface BrokerLogin {
  credentials?: { username: string; password: string };
  /** PEM; at least one of them. */
  tls?: { ca?: string; cert?: string; key?: string };
}

/**
 * Reads the files that the options name.
 *
 * @throws UsageError if options contradict each other; Error naming the file that cannot be read.
 */
export async function readLogin(values: OptionValues<typeof BROKER_OPTIONS>): Promise<BrokerLogin> {
  const { username, passwordFile, caFile, certFile, keyFile } = values;
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw new UsageError("options --cert-file and --key-file are only of use together");
  }
  if (passwordFile !== undefined && username === undefined) {
    throw new UsageError("option --password-file needs --username");
  }
  const password = passwordFile === undefined ? "" : (await readOptionFile("--password-file", passwordFile)).trimEnd();
  const tls = {
    ...(caFile === undefined ? {} : { ca: await readOptionFile("--ca-file", caFile) }),
    ...(certFile === undefined ? {} : { cert: await readOptionFile("--cert-file", certFile) }),
    ...(keyFile === undefined ? {} : { key: await readOptionFile("--key-file", keyFile) }),
  };
  return {
    ...(username === undefined ? {} : { credentials: { username, password } }),
    ...(Object.keys(tls).length === 0 ? {} : { tls }),
  };
}

/** The text of a file that an option names. @throws Error naming the option. */
export async function readOptionFile(option: string, file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw new Error(`cannot read the file of ${option}`, { cause: error });
  }
}

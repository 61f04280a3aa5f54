import { type Command, Option } from "commander";
import type { ValueParser } from "./values.ts";

/**
 * One option of a command. It can be given as `--name value` or as an environment variable; the command line wins, and an
 * empty variable counts as not set.
 */
export interface OptionSpec<T> {
  /** The placeholder of the value in the help, such as `file`. */
  readonly value: string;
  /** For on/off options: the value that `--name` alone stands for. Default: a value is required. */
  readonly alone?: string;
  /** A one-letter form. Default: none. */
  readonly short?: string;
  readonly group: string;
  readonly help: string;
  readonly parse: ValueParser<T>;
  /** What holds if the option is not given: text that goes through `parse`, or undefined for "nothing". */
  readonly default: string | undefined;
  /** Never repeat the value in a message: it may hold a secret by mistake. Default false. */
  readonly isConcealed?: boolean;
  /** What the help says in place of `default`, for one that is not a value. */
  readonly defaultHelp?: string;
}

/** Options by their name in camel case. */
export type OptionTable = Readonly<Record<string, OptionSpec<unknown>>>;

/** The values of a table's options: an option without a default may be undefined. */
export type OptionValues<T extends OptionTable> = {
  readonly [K in keyof T]: T[K] extends { parse: ValueParser<infer V>; default: infer D }
    ? undefined extends D
      ? V | undefined
      : V
    : never;
};

/** A command line or an environment variable that cannot be used; the message is one whole line for the user. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** `leaseDuration` -> `--lease-duration`. */
export function flagOf(name: string): string {
  return `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** `leaseDuration` -> `DRAYAGE_LEASE_DURATION`. */
export function variableOf(name: string): string {
  return `DRAYAGE_${flagOf(name).slice(2).replaceAll("-", "_").toUpperCase()}`;
}

/** Adds the options of a table to a command, in the table's order, under their groups. */
export function addOptions(command: Command, table: OptionTable): void {
  for (const [name, spec] of Object.entries(table)) {
    const placeholder = spec.alone === undefined ? `<${spec.value}>` : `[${spec.value}]`;
    const short = spec.short === undefined ? "" : `-${spec.short}, `;
    const defaultHelp = spec.defaultHelp ?? spec.default;
    const notes = [...(defaultHelp === undefined ? [] : [`default: ${defaultHelp}`]), `env: ${variableOf(name)}`];
    const option = new Option(`${short}${flagOf(name)} ${placeholder}`, `${spec.help} (${notes.join("; ")})`);
    option.helpGroup(spec.group);
    command.addOption(option);
  }
}

/**
 * The values of a table's options.
 *
 * @param given what the command line says, by name.
 * @throws UsageError naming the option or the variable, what it was (unless concealed) and what is accepted.
 */
export function readOptions<T extends OptionTable>(
  table: T,
  given: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
): OptionValues<T> {
  const values: Record<string, unknown> = {};
  for (const [name, spec] of Object.entries(table)) {
    const { raw, source } = rawValue(name, spec, given, env);
    if (raw === undefined) {
      values[name] = undefined;
      continue;
    }
    const parsed = spec.parse.safeParse(raw);
    if (!parsed.success) {
      const accepted = parsed.error.issues.map(({ message }) => message).join("; ");
      const shown = spec.isConcealed === true ? "what was given" : JSON.stringify(raw);
      throw new UsageError(`${source}: ${shown} is not accepted; it must be ${accepted}`);
    }
    values[name] = parsed.data;
  }
  // The loop has filled in each key of the table with the output of its own parser.
  return values as OptionValues<T>;
}

/** How to name an option in a message: the way in which the user gave it. */
export function sourceOf(
  name: string,
  given: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
): string {
  const isFromEnv = given[name] === undefined && (env[variableOf(name)] ?? "") !== "";
  return isFromEnv ? `variable ${variableOf(name)}` : `option ${flagOf(name)}`;
}

function rawValue(
  name: string,
  spec: OptionSpec<unknown>,
  given: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
): { readonly raw: string | undefined; readonly source: string } {
  const source = sourceOf(name, given, env);
  const fromLine = given[name];
  // commander's value for an option that was given without one.
  if (fromLine === true) return { raw: spec.alone, source };
  if (typeof fromLine === "string") return { raw: fromLine, source };
  const fromEnv = env[variableOf(name)];
  return { raw: fromEnv === undefined || fromEnv === "" ? spec.default : fromEnv, source };
}

import type { Writable } from "node:stream";
import { type DestinationStream, type Logger, pino } from "pino";
import { ApiError, TransportError } from "../kube/errors.ts";

export type { Logger } from "pino";

/** From loudest to quietest; each includes those after it. */
export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** auto: pretty on a terminal, else json. */
export const LOG_FORMATS = ["auto", "json", "pretty"] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/** Options of {@link createLogger}. */
export interface LoggerOptions {
  /** Default info. */
  readonly level?: LogLevel;
  /** Default auto. */
  readonly format?: LogFormat;
  /** Where lines go. Default: standard output, each line written before the call returns. */
  readonly destination?: Writable;
}

/** What stands in the place of a secret. */
export const REDACTED = "[redacted]";

/** Names under which a secret could come into a log line by mistake; nobody logs them on purpose. */
const SECRET_NAMES = [
  "password",
  "passphrase",
  "token",
  "accessToken",
  "refreshToken",
  "apiKey",
  "secret",
  "credentials",
  "authorization",
  "stringData",
  "privateKey",
];

/** Each name at the top of a line, one level and two levels down: pino's redaction wants its depths spelled out. */
const REDACT_PATHS = SECRET_NAMES.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);

/** Longest error message in a log line, in UTF-16 units: an API server can answer with the whole object it refused. */
const LONGEST_ERROR_MESSAGE = 2048;

/**
 * A logger that writes one JSON object per line, or readable lines on a terminal. Time is RFC 3339, level is a word, and
 * neither the process id nor the host name is repeated on each line: the container runtime adds its own.
 */
export async function createLogger(options: LoggerOptions = {}): Promise<Logger> {
  const format = options.format ?? "auto";
  const isPretty = format === "pretty" || (format === "auto" && options.destination === undefined && isTerminal());
  const destination = options.destination ?? pino.destination({ dest: 1, sync: true });
  return pino(
    {
      level: options.level ?? "info",
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: REDACT_PATHS, censor: REDACTED },
      serializers: { err: serializeError, error: serializeError },
    },
    isPretty ? await prettyStream(options.destination) : destination,
  );
}

/** A logger that writes nothing: the default of parts that may run without one. */
export function silentLogger(): Logger {
  return pino({ level: "silent" });
}

/**
 * What a log line says of an error. One from the API server or from the way there is told by its status, code, reason and
 * message; the stack says nothing about it and is left out. Anything else keeps its stack. Headers, bodies and other
 * properties that a library may hang on its errors stay out: they can hold credentials.
 */
export function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { type: typeof error, message: cut(String(error)) };
  const { status, code, reason } = facts(error);
  const cause = error.cause instanceof Error ? causeChain(error.cause) : undefined;
  return {
    type: error.name,
    message: cut(error.message),
    ...(typeof status === "number" ? { status } : {}),
    ...(typeof code === "number" || typeof code === "string" ? { code } : {}),
    ...(typeof reason === "string" ? { reason } : {}),
    ...(cause === undefined ? {} : { cause }),
    ...(error instanceof ApiError || error instanceof TransportError ? {} : { stack: error.stack }),
  };
}

/** The properties by which a log line tells an error, wherever its class keeps them. */
function facts(error: object): { status: unknown; code: unknown; reason: unknown } {
  return {
    status: "status" in error ? error.status : undefined,
    code: "code" in error ? error.code : undefined,
    reason: "reason" in error ? error.reason : undefined,
  };
}

/** One line for a person: the message of an error and of what caused it. */
export function describeError(error: unknown): string {
  const text = error instanceof Error ? causeChain(error) : cut(String(error));
  return text.replaceAll(/\s*\n\s*/g, " ");
}

function causeChain(error: Error): string {
  const parts: string[] = [];
  let current: unknown = error;
  // Bounded: a cause may, by mistake, lead back to itself.
  for (let depth = 0; current instanceof Error && depth < 5; depth++) {
    const message = ownMessage(current);
    // A wrapper often repeats what it wraps.
    if (!parts.some((part) => part.includes(message))) parts.push(message);
    current = current.cause;
  }
  return cut(parts.join(": "));
}

/** An AggregateError (each address of a host refused) may have no message of its own. */
function ownMessage(error: Error): string {
  if (error.message !== "") return error.message;
  if (!(error instanceof AggregateError)) return error.name;
  return Array.from(new Set(error.errors.map((one) => describeError(one)))).join("; ");
}

function cut(text: string): string {
  return text.length <= LONGEST_ERROR_MESSAGE ? text : `${text.slice(0, LONGEST_ERROR_MESSAGE)}…`;
}

function isTerminal(): boolean {
  return process.stdout.isTTY;
}

/** pino-pretty in this process and on demand: a worker thread would lose lines at exit, and a daemon never needs it. */
async function prettyStream(destination: Writable | undefined): Promise<DestinationStream> {
  const { default: pretty } = await import("pino-pretty");
  return pretty({
    sync: true,
    colorize: isTerminal() && process.env["NO_COLOR"] === undefined,
    translateTime: "SYS:HH:MM:ss.l",
    ...(destination === undefined ? { destination: 1 } : { destination }),
  });
}

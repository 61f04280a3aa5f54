/**
 * Parsers for the values of options and environment variables: text in, typed value out. Each says on failure what it
 * accepts, as the end of a sentence that begins with the option's name.
 */
import { z } from "zod";
import type { ListenAddress } from "../controller/http-server.ts";

/** Turns the text of one option into its value. */
export type ValueParser<T> = z.ZodType<T, string>;

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/**
 * A duration such as `500ms`, `15s`, `2m`, `1h` or `1m30s`, in milliseconds. A number without a unit is refused, except a
 * bare 0: nobody remembers whether 15 means seconds.
 *
 * @param range limits in milliseconds, both included.
 */
export function duration(range: { readonly minMs: number; readonly maxMs: number }): ValueParser<number> {
  return parser((text) => {
    const ms = parseDuration(text);
    if (ms === undefined) return problem("a duration: whole numbers with a unit, such as 500ms, 15s, 2m or 1m30s");
    if (ms >= range.minMs && ms <= range.maxMs) return { value: ms };
    return problem(`a duration from ${formatDuration(range.minMs)} to ${formatDuration(range.maxMs)}`);
  });
}

/** Milliseconds of a duration; undefined if the text is not one. */
export function parseDuration(text: string): number | undefined {
  if (text === "0") return 0;
  const match = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/.exec(text);
  if (match === null || text === "") return undefined;
  const [, hours, minutes, seconds, milliseconds] = match;
  const parts: [string | undefined, string][] = [
    [hours, "h"],
    [minutes, "m"],
    [seconds, "s"],
    [milliseconds, "ms"],
  ];
  const ms = parts.reduce((sum, [digits, unit]) => sum + Number(digits ?? 0) * (UNITS_MS[unit] ?? 0), 0);
  return Number.isSafeInteger(ms) ? ms : undefined;
}

/** The shortest way to write a duration; the inverse of {@link parseDuration}. */
export function formatDuration(ms: number): string {
  const parts: string[] = [];
  let rest = ms;
  for (const unit of ["h", "m", "s", "ms"]) {
    const unitMs = UNITS_MS[unit] ?? 1;
    const count = Math.floor(rest / unitMs);
    rest -= count * unitMs;
    if (count > 0) parts.push(`${count}${unit}`);
  }
  return parts.length === 0 ? "0s" : parts.join("");
}

/** A whole number, both limits included. */
export function wholeNumber(range: { readonly min: number; readonly max: number }): ValueParser<number> {
  return parser((text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    return value >= range.min && value <= range.max
      ? { value }
      : problem(`a whole number from ${range.min} to ${range.max}`);
  });
}

/** `true` or `false`. */
export function truth(): ValueParser<boolean> {
  return parser((text) =>
    text === "true" || text === "false" ? { value: text === "true" } : problem("true or false"),
  );
}

/** One of a few words. */
export function oneOf<const W extends readonly string[]>(words: W): ValueParser<W[number]> {
  return parser((text) => {
    const word: W[number] | undefined = words.find((candidate) => candidate === text);
    return word === undefined ? problem(`one of ${words.join(", ")}`) : { value: word };
  });
}

/** Any text but an empty one. */
export function text(): ValueParser<string> {
  return parser((value) => (value === "" ? problem("a text that is not empty") : { value }));
}

/** A JSON value. */
export function json(): ValueParser<unknown> {
  return parser<unknown>((value) => {
    try {
      return { value: JSON.parse(value) as unknown };
    } catch {
      return problem(`JSON, such as {"force":true}, true or "a text"`);
    }
  });
}

/** The name of a namespace or Lease: an RFC 1123 label or, with `dots`, a subdomain, as Kubernetes wants them. */
export function kubernetesName(options: { readonly dots: boolean }): ValueParser<string> {
  return parser((value) => {
    const label = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?";
    const pattern = options.dots ? `^${label}(\\.${label})*$` : `^${label}$`;
    const what = options.dots ? "lower-case letters, digits, - and ." : "lower-case letters, digits and -";
    return new RegExp(pattern).test(value) && value.length <= 253 ? { value } : problem(`a Kubernetes name: ${what}`);
  });
}

/** An installation id: goes into the markers of containers at every vendor, so it keeps to what all of them can store. */
export function ownerId(): ValueParser<string> {
  return parser((value) =>
    /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(value)
      ? { value }
      : problem("1 to 63 lower-case letters, digits and -, beginning and ending with a letter or digit"),
  );
}

/** `host:port`, `[ipv6]:port`, `:port` for all interfaces (port 0: any free one), or `off`, which gives undefined. */
export function listenAddress(): ValueParser<ListenAddress | undefined> {
  return parser<ListenAddress | undefined>((value) => {
    if (value === "off") return { value: undefined };
    const match = /^(?:\[([0-9a-fA-F:.%]+)\]|([^:[\]\s]*)):(\d{1,5})$/.exec(value);
    const port = Number(match?.[3] ?? Number.NaN);
    if (match === null || !(port <= 65_535)) {
      return problem("an address such as :8081, 127.0.0.1:8081 or [::1]:8081, or off");
    }
    return { value: { host: match[1] ?? match[2] ?? "", port } };
  });
}

/** The URL of an MQTT broker. A user name or password in it is refused: it would show in the list of processes. */
export function brokerUrl(): ValueParser<string> {
  return parser((value) => {
    const url = URL.canParse(value) ? new URL(value) : undefined;
    const isUsable = url !== undefined && ["mqtt:", "mqtts:"].includes(url.protocol) && url.hostname !== "";
    if (!isUsable) return problem("a URL such as mqtt://127.0.0.1:1883 or mqtts://broker:8883");
    return url.username === "" && url.password === "" ? { value } : problem("a URL without user name and password");
  });
}

type Parsed<T> = { readonly value: T } | { readonly problem: string };

function problem(accepted: string): { readonly problem: string } {
  return { problem: accepted };
}

function parser<T>(parse: (text: string) => Parsed<T>): ValueParser<T> {
  return z.string().transform((value, context): T => {
    const parsed = parse(value);
    if ("value" in parsed) return parsed.value;
    context.addIssue({ code: "custom", message: parsed.problem });
    return z.NEVER;
  });
}

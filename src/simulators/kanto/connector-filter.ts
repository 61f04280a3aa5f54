// What suite-connector remembers of requests from the cloud: a response goes up only if its correlation id came down in a request, and only
// once, and only within the request's timeout and five seconds. Sources: suite-connector's routing/commands.go (HandleRequest,
// HandleResponse), util/utils.go (ParseTimeout), cache/cache.go.

import type { Clock } from "../clock.ts";
import { isObject } from "./go-json.ts";

const DEFAULT_S = 60;
const GRACE_S = 5;
const LIMIT_S = 3600;

/**
 * Seconds of a `timeout` header: `N`, `Ns`, `Nms` or `Nm`, from 0 to less than an hour; everything else is the default of a minute.
 */
export function timeoutSeconds(text: string): number {
  const [, digits, unit] = /^([+-]?[0-9]+)(ms|s|m)?$/.exec(text) ?? [];
  if (digits === undefined) {
    return DEFAULT_S;
  }
  const factor = unit === "ms" ? 0.001 : unit === "m" ? 60 : 1;
  const seconds = Number(digits) * factor;
  return seconds >= 0 && seconds < LIMIT_S ? seconds : DEFAULT_S;
}

/** The headers that the connector reads. */
export interface Headers {
  correlationId: string;
  timeout: string;
}

/**
 * Reads an envelope.
 * @throws Error for what is no envelope, and for headers of another type than text: there the real one panics, and recovers by dropping the message
 */
export function readHeaders(payload: Buffer): Headers {
  const body: unknown = JSON.parse(payload.toString("utf8"));
  if (!isObject(body)) {
    throw new Error("invalid cloud command");
  }
  const headers = body["headers"] ?? {};
  if (!isObject(headers)) {
    throw new Error("invalid cloud command");
  }
  const text = (name: string): string => {
    const value = headers[name] ?? "";
    if (typeof value !== "string") {
      throw new Error(`interface conversion: header ${name} is not string`);
    }
    return value;
  };
  return { correlationId: text("correlation-id"), timeout: text("timeout") };
}

/** Requests whose responses are awaited; in memory, so that a restart forgets them. */
export class ReplyFilter {
  readonly #clock: Clock;
  /** Correlation id to the end of its time, by the monotonic clock. */
  readonly #awaited = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  request({ correlationId, timeout }: Headers): void {
    const seconds = timeoutSeconds(timeout);
    if (correlationId !== "" && seconds !== 0) {
      this.#awaited.set(correlationId, this.#clock.monotonic() + (seconds + GRACE_S) * 1000);
    }
  }

  /** Whether a response may pass; it counts as passed. */
  response({ correlationId }: Headers): boolean {
    const end = this.#awaited.get(correlationId);
    this.#awaited.delete(correlationId);
    return end !== undefined && this.#clock.monotonic() <= end;
  }
}

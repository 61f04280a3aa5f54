/**
 * What an answer to a message says: whether it is the device's own word, Ditto's refusal before anything was passed on, or neither, so that
 * the message may have been carried out. Both speak with the same statuses and the same form of body; the daemon knows three error codes
 * (container-management, things/client/thing_errors.go), and Ditto none of those.
 */
import { isObject, parseJson, textAt } from "../../guards.ts";

export type MessageVerdict =
  /** The device answered. `value` is JSON text, "" for none. */
  | { kind: "Answered"; status: number; value: string }
  /** Proven: Ditto did not pass it on. */
  | { kind: "Refused"; denied: boolean; reason: string; maxTimeoutS?: number }
  /** It may have been carried out. */
  | { kind: "Unknown"; reason: string };

const DEVICE_CODES: Readonly<Record<string, number>> = {
  "messages:parameter.invalid": 400,
  "messages:subject.notfound": 404,
  "messages:execution.failed": 500,
};

/** Statuses that say, whoever gives them, that a request was not accepted. 408, 424, 429 and all of 5xx say nothing of the kind. */
const REFUSALS = new Set([400, 401, 402, 403, 404, 405, 406, 411, 413, 414, 415, 431]);
const TOO_MANY = 429;

/**
 * Ditto's own codes for "not now": said by the gateway before, or by the thing instead of, passing a message on (TooManyRequestsException,
 * ThingTooManyModifyingRequestsException). A 429 of something between may come after the request went through.
 */
const TOO_MANY_CODES = /^(too\.many\.requests|things:thing\.toomanymodifyingrequests)$/;

/**
 * @param status of the HTTP answer.
 * @param body its text.
 */
export function judgeAnswer(status: number, body: string): MessageVerdict {
  if (status === 204) return { kind: "Answered", status, value: "" };
  const json = parseJson(body);
  if (status === 200 && json !== undefined) return { kind: "Answered", status, value: body };
  const code = isObject(json) ? textAt(json, "error") : undefined;
  if (code !== undefined && DEVICE_CODES[code] === status) return { kind: "Answered", status, value: body };
  const reason = `Ditto answers ${status}${sentence(json)}`;
  const refused = REFUSALS.has(status) || (status === TOO_MANY && code !== undefined && TOO_MANY_CODES.test(code));
  if (!refused) return { kind: "Unknown", reason };
  const maxTimeoutS =
    code === "timeout.invalid" || code === "gateway:timeout.invalid" ? longestTimeout(json) : undefined;
  return {
    kind: "Refused",
    denied: status === 401 || status === 403,
    reason,
    ...(maxTimeoutS !== undefined && { maxTimeoutS }),
  };
}

/** Ditto's message for people; never the description, which says nothing of the case. */
function sentence(json: unknown): string {
  const message = isObject(json) ? textAt(json, "message") : undefined;
  return message === undefined ? "" : `: ${message.slice(0, 300)}`;
}

/** From `… is not inside its allowed bounds <0s - 30s>`, also in ms. */
function longestTimeout(json: unknown): number | undefined {
  const message = isObject(json) ? (textAt(json, "message") ?? "") : "";
  const [, amount, unit] = /bounds <[^>]* - (\d+)(ms|s)>/.exec(message) ?? [];
  if (amount === undefined) return undefined;
  const seconds = unit === "ms" ? Math.floor(Number(amount) / 1000) : Number(amount);
  return seconds >= 1 ? seconds : undefined;
}

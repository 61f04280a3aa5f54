/** What mittwald's answers mean: the closed union that leaves client.ts. The vendor's words are shown, never parsed. */
import type { BackendFailure } from "../errors.ts";
import { isObject, objectsAt, textAt } from "../guards.ts";
import type { HttpAnswer, HttpResult } from "../http/client.ts";
import { isPage, judgeWrite } from "../http/failures.ts";
import { headerOf } from "../http/exchange.ts";
import { oneLine, redact } from "../http/text.ts";

/** What a call came to. */
export type Call<T> =
  /** `stale`: read without waiting for our own last write, since the vendor would not wait for it any longer. */
  | { kind: "Done"; value: T; stale: boolean }
  /** Answered with a refusal. 403 means no right, not there, or not visible yet: only a list can tell which. `said`: the vendor's own sentence. */
  | { kind: "Refused"; status: number; failure: BackendFailure; said?: string }
  /** Proven: nothing was sent. */
  | { kind: "NotSent"; failure: BackendFailure; fenced: boolean }
  /** Of a write nobody knows whether it took effect; a read gave nothing. */
  | { kind: "Unknown"; status?: number; failure: BackendFailure };

/** So many of the vendor's validation errors are shown. */
const SHOWN_ERRORS = 5;

/** The vendor's own limit, told with every answer: seconds left, not a time (developer portal, "Rate limit"). */
export function restMs(status: number, headers: HttpAnswer["headers"]): number | undefined {
  if (headerOf(headers, "x-ratelimit-exempt")?.toLowerCase() === "yes") return undefined;
  const remaining = Number(headerOf(headers, "x-ratelimit-remaining") ?? Number.NaN);
  const resetSeconds = Number(headerOf(headers, "x-ratelimit-reset") ?? Number.NaN);
  const isSpent = status === 429 || remaining === 0;
  return isSpent && Number.isFinite(resetSeconds) && resetSeconds >= 0 ? Math.ceil(resetSeconds * 1000) : undefined;
}

/** Sorts an answer. `read` takes the body of a success; what it cannot read is no answer. */
export function callOf<T>(
  result: HttpResult,
  read: (json: unknown) => T | undefined,
  secrets: readonly string[],
): Call<T> {
  const verdict = judgeWrite(result);
  switch (verdict.verdict) {
    case "NotSent":
      return { kind: "NotSent", failure: verdict.failure, fenced: verdict.fenced };
    case "Ambiguous": {
      const { status } = verdict;
      return { kind: "Unknown", ...(status !== undefined && { status }), failure: verdict.failure };
    }
    case "Refused":
      // A gateway's page says nothing about what the vendor has.
      if (isPage(verdict.answer))
        return { kind: "Unknown", status: verdict.answer.status, failure: transient(verdict.failure.message) };
      return {
        kind: "Refused",
        status: verdict.answer.status,
        failure: refusalOf(verdict.answer, verdict.failure, secrets),
        ...(verdict.answer.message !== "" && { said: oneLine(redact(verdict.answer.message, secrets)) }),
      };
    case "Done": {
      const value = read(verdict.answer.json);
      return value === undefined
        ? { kind: "Unknown", status: verdict.answer.status, failure: transient("the vendor's answer cannot be read") }
        : { kind: "Done", value, stale: false };
    }
    default:
      return verdict satisfies never;
  }
}

function transient(message: string): BackendFailure {
  return { class: "Transient", message };
}

function refusalOf(answer: HttpAnswer, failure: BackendFailure, secrets: readonly string[]): BackendFailure {
  const { status, json } = answer;
  const said = (text: string): string => oneLine(redact(text, secrets));
  if (status === 400)
    return {
      class: "Invalid",
      reason: "InvalidSpec",
      message: said(`the vendor answers 400: ${validationText(json) ?? answer.message}`),
    };
  if (status === 403)
    return {
      class: "Unauthorized",
      message: said(
        `the vendor answers 403${answer.message === "" ? "" : `: ${answer.message}`}; the token lacks the right (api_write), or there is no such thing (yet)`,
      ),
    };
  return failure;
}

/** `path` is neither a JSON path nor the request's: shown as it is. */
function validationText(json: unknown): string | undefined {
  if (!isObject(json)) return undefined;
  const errors = objectsAt(json, "validationErrors");
  const shown = errors.slice(0, SHOWN_ERRORS).map((error) => {
    const [path, message] = [textAt(error, "path"), textAt(error, "message") ?? textAt(error, "type") ?? "invalid"];
    return path === undefined ? message : `${path}: ${message}`;
  });
  if (shown.length === 0) return undefined;
  return errors.length > SHOWN_ERRORS
    ? `${shown.join("; ")}; and ${errors.length - SHOWN_ERRORS} more`
    : shown.join("; ");
}

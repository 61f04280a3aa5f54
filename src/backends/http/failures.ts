/** The common part of what answers mean. Vendors refine it by their own tables; whatever they leave is classified here. */
import type { BackendFailure } from "../errors.ts";
import type { HttpAnswer, HttpResult } from "./client.ts";
import { headerOf } from "./exchange.ts";

/** What a write came to. */
export type WriteVerdict =
  /** Answered with success. The inventory tells whether it is so. */
  | { verdict: "Done"; answer: HttpAnswer }
  /** Proven: it had no effect since it never left. */
  | { verdict: "NotSent"; failure: BackendFailure; fenced: boolean }
  /** The vendor has refused it. */
  | { verdict: "Refused"; answer: HttpAnswer; failure: BackendFailure }
  /** Nobody knows; only looking helps. `failure` says what is to be told if it turns out to have had no effect. */
  | { verdict: "Ambiguous"; status?: number; failure: BackendFailure };

/** After this a vendor that asked for patience without saying how much is asked again, ms. */
const DEFAULT_RETRY_AFTER_MS = 30_000;

/**
 * Statuses that do not say whether the server, or something between, has carried the request out. 429 should mean that it was not; a gateway
 * that counts after it has passed a request on is no stranger than one that answers 500.
 */
function isAmbiguous(status: number): boolean {
  return status >= 500 || status === 408 || status === 429 || status < 200;
}

/**
 * Whether an error is a page for people: an API that speaks JSON has not written it, but something before it, a gateway without its server or a
 * web server under a wrong url. Its "not found" says nothing about what the vendor has.
 */
export function isPage(answer: HttpAnswer): boolean {
  return (
    answer.status >= 400 && /^\s*(text\/html|application\/xhtml)/i.test(headerOf(answer.headers, "content-type") ?? "")
  );
}

/** Classifies the result of a request that changes something. */
export function judgeWrite(result: HttpResult): WriteVerdict {
  switch (result.kind) {
    case "NotSent": {
      const { cause, retryAfterMs } = result;
      const message = `nothing was sent: ${result.message}`;
      return {
        verdict: "NotSent",
        fenced: cause === "Fenced",
        failure:
          retryAfterMs === undefined
            ? { class: "Transient", message }
            : { class: "RateLimited", retryAfterMs, message },
      };
    }
    case "Broken":
      return {
        verdict: "Ambiguous",
        ...(result.status !== undefined && { status: result.status }),
        failure: { class: "Transient", message: result.message },
      };
    case "Answer":
      if (result.status < 300 && result.status >= 200) return { verdict: "Done", answer: result };
      return isAmbiguous(result.status)
        ? { verdict: "Ambiguous", status: result.status, failure: failureOf(result) }
        : { verdict: "Refused", answer: result, failure: failureOf(result) };
    default:
      return result satisfies never;
  }
}

/** The failure that an error answer stands for where the vendor's own table says nothing. */
export function failureOf(answer: HttpAnswer): BackendFailure {
  const { status } = answer;
  const message = `the vendor answers ${status}${answer.message === "" ? "" : `: ${answer.message}`}`;
  if (status === 401 || status === 403) return { class: "Unauthorized", message };
  if (status === 404) return { class: "Conflict", reason: "NotFound", message };
  if (status === 409 || status === 412) return { class: "Conflict", reason: "StateConflict", message };
  if (status === 429 || (status === 503 && answer.retryAfterMs !== undefined))
    return { class: "RateLimited", retryAfterMs: answer.retryAfterMs ?? DEFAULT_RETRY_AFTER_MS, message };
  if (status === 408 || status >= 500) return { class: "Transient", message };
  return { class: "Invalid", reason: "InvalidSpec", message };
}

/** What the answer to an account's probe says: whether the server can be reached, is an API at all, and takes the key. */
import type { HttpResult } from "./client.ts";
import { isPage } from "./failures.ts";
import type { ProbeResult } from "./gate.ts";

/**
 * @param endpoint for messages.
 * @param urlField path of the address in the EdgeBackend, for messages, e.g. spec.alpon.url.
 */
export function judgeProbe(result: HttpResult, endpoint: string, urlField: string): ProbeResult {
  const failed = (message: string): ProbeResult => ({ ok: false, reason: "ConnectionFailed", message });
  switch (result.kind) {
    case "NotSent": {
      const message = `${endpoint} cannot be reached: ${result.message}`;
      return { ok: false, reason: result.tls ? "TLSFailed" : "ConnectionFailed", message };
    }
    case "Broken":
      return failed(`${endpoint} does not answer as an API does: ${result.message}`);
    case "Answer": {
      const { status, message } = result;
      if (status === 401 || status === 403)
        return { ok: false, reason: "Unauthorized", message: unauthorized(status, message) };
      if (status >= 500) return failed(`${endpoint} answers ${status}${message === "" ? "" : `: ${message}`}`);
      // Whatever else it says of what was asked: it takes our key.
      return isPage(result)
        ? failed(`${endpoint} answers ${status} with a web page, as no API does: is ${urlField} right?`)
        : { ok: true };
    }
    default:
      return result satisfies never;
  }
}

/** Why the key is refused. */
export function unauthorized(status: number, message: string): string {
  const hint =
    status === 401 ? "is the key in the Secret of spec.credentialsSecretRef right?" : "the key lacks the rights for it";
  return `the vendor answers ${status}${message === "" ? "" : `: ${message}`}; ${hint}`;
}

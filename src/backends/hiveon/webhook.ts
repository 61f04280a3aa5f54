/**
 * What the vendor posts to its customers' callback (https://clore-docs.hiveon.ai/api-endpoints/webhooks/webhook-payload). An event is a hint to look,
 * never a truth: order, repetition and loss are documented nowhere. So all there is to do is to know that it is the vendor's, and is not one that
 * was heard before.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { WebhookVerdict } from "../contract.ts";
import { isObject, objectAt, parseJson, textAt } from "../guards.ts";

/** An older event is somebody's recording, ms. A clock may be off by as much. */
const OLDEST_MS = 600_000;
/** Ids that are remembered. More than that in ten minutes are forgotten; then a repetition costs a look. */
const REMEMBERED = 10_000;

export class WebhookReader {
  readonly #secret: string | undefined;
  readonly #seen = new Set<string>();

  /** @param secret undefined: none is taken. */
  constructor(secret: string | undefined) {
    this.#secret = secret;
  }

  /**
   * @param raw the body as it came: the signature covers its bytes.
   * @param signature of the header x-webhook-signature: `sha256=<64 hex digits>`.
   * @returns `ids` of the deployments that it names, if it is the vendor's and new.
   */
  read(raw: Buffer, signature: string | undefined, nowMs: number): { verdict: WebhookVerdict; ids: string[] } {
    const answer = (verdict: WebhookVerdict, ids: string[] = []) => ({ verdict, ids });
    if (this.#secret === undefined) return answer("Unconfigured");
    if (!isSigned(raw, signature, this.#secret)) return answer("Unsigned");
    const event = parseJson(raw.toString("utf8"));
    if (!isObject(event)) return answer("Malformed");
    const id = textAt(event, "event_id");
    const time = Date.parse(textAt(event, "timestamp") ?? "");
    if (id === undefined || Number.isNaN(time)) return answer("Malformed");
    if (Math.abs(nowMs - time) > OLDEST_MS || this.#seen.has(id)) return answer("Repeated");
    this.#seen.add(id);
    if (this.#seen.size > REMEMBERED) for (const oldest of this.#seen) if (this.#seen.delete(oldest)) break;
    const data = objectAt(event, "data");
    const ids = [textAt(data, "deployment_id"), textAt(data, "external_deployment_id")];
    return answer(
      "Accepted",
      ids.filter((each) => each !== undefined),
    );
  }
}

/** In constant time: how much of a guess is right must not show in how long it takes. */
function isSigned(raw: Buffer, signature: string | undefined, secret: string): boolean {
  const given = /^sha256=([0-9a-f]{64})$/i.exec(signature ?? "")?.[1];
  if (given === undefined) return false;
  return timingSafeEqual(createHmac("sha256", secret).update(raw).digest(), Buffer.from(given, "hex"));
}

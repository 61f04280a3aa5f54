// What the vendor sends to its customers' callback. https://clore-docs.hiveon.ai/api-endpoints/webhooks/webhook-payload
// Retries, order and duplicates are documented nowhere; each can be had here.

import { createHmac, randomUUID } from "node:crypto";
import type { Clock } from "../clock.ts";
import type { PlatformEvent } from "./platform.ts";
import type { WebhookOptions } from "./types.ts";

/** What befalls the webhooks that follow. */
export interface WebhookFaults {
  /** Signed with another secret. */
  wrongSignature: boolean;
  /** Each is sent twice. */
  duplicate: boolean;
  /** None is sent. */
  lose: boolean;
  /** Each waits for the next one and goes after it. */
  reorder: boolean;
}

export class Webhooks {
  readonly faults: WebhookFaults = { wrongSignature: false, duplicate: false, lose: false, reorder: false };
  readonly #options: WebhookOptions;
  readonly #clock: Clock;
  readonly #under = new Set<Promise<void>>();
  /** Bodies as they were sent, with their signatures: to send one again. */
  readonly sent: { body: string; signature: string; status: number }[] = [];
  #held: PlatformEvent | undefined;

  constructor(options: WebhookOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  tell(event: PlatformEvent): void {
    if (this.faults.lose) return;
    if (this.faults.reorder && this.#held === undefined) {
      this.#held = event;
      return;
    }
    this.#post(event);
    const held = this.#held;
    this.#held = undefined;
    if (held !== undefined) this.#post(held);
  }

  /** Sends something as it is, e.g. what was sent before. */
  async deliver(body: string, signature: string): Promise<number> {
    const response = await fetch(this.#options.url, {
      method: "POST",
      headers: { "content-type": "application/json", "x-webhook-signature": signature },
      body,
    });
    await response.arrayBuffer();
    this.sent.push({ body, signature, status: response.status });
    return response.status;
  }

  sign(body: string): string {
    const secret = this.faults.wrongSignature ? "another secret" : this.#options.secret;
    return `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
  }

  /** Waits for what is under way. */
  async close(): Promise<void> {
    await Promise.all(this.#under);
  }

  #post(event: PlatformEvent): void {
    const body = JSON.stringify({
      version: "1.0",
      event_id: randomUUID(),
      event_type: event.type,
      data: "rental" in event ? deploymentData(event.rental) : { machine_id: event.machineId, status: event.status },
      timestamp: new Date(this.#clock.now()).toISOString(),
    });
    const signature = this.sign(body);
    for (let copy = this.faults.duplicate ? 2 : 1; copy > 0; copy--) {
      const sending: Promise<void> = this.deliver(body, signature)
        // A customer that is away hears nothing.
        .then(
          () => undefined,
          () => undefined,
        )
        .finally(() => this.#under.delete(sending));
      this.#under.add(sending);
    }
  }
}

function deploymentData(rental: Extract<PlatformEvent, { rental: unknown }>["rental"]): Record<string, unknown> {
  const { deploymentId, externalId, machineId, status } = rental;
  return { deployment_id: deploymentId, external_deployment_id: externalId, machine_id: machineId, status };
}

/** What a session sends to have its device tell everything: an announcement of the identity, or a mark in the device's twin; if this process may. */
import { randomUUID } from "node:crypto";
import type { WriteFence } from "../contract.ts";
import type { Completeness } from "./completeness.ts";
import { markOperation } from "./envelope.ts";
import type { Identity } from "./identity.ts";
import type { Outbox } from "./outbox.ts";
import type { SessionOptions } from "./parts.ts";

export interface AnnouncerHost {
  readonly outbox: Outbox;
  readonly identity: Identity;
  readonly known: Completeness;
  /** Whether this process may observe actively. */
  readonly watchful: WriteFence;
  /** Subscribed on the open connection. */
  online(): boolean;
}

/** Inventories that a standby may force on one connection: one to have any, and a second pass confirms what is gone. */
const MOST_UNFENCED = 2;

export class Announcer {
  readonly #options: SessionOptions;
  readonly #host: AnnouncerHost;
  /** Inventories forced on this connection without the fence. */
  #unfenced = 0;

  constructor(options: SessionOptions, host: AnnouncerHost) {
    this.#options = options;
    this.#host = host;
  }

  /** Another connection. */
  opened(): void {
    this.#unfenced = 0;
  }

  /** Forces a full re-publication. @returns the number of the message; undefined if this process may not, or must not now. */
  fresh(): number | undefined {
    const { outbox, identity, known, watchful } = this.#host;
    if (!this.#host.online()) return undefined;
    if (!watchful.valid()) {
      // A standby takes what the leader brings to light, once it has an inventory of its own.
      if (known.synced || this.#unfenced >= MOST_UNFENCED) return undefined;
      this.#unfenced += 1;
    }
    if (!outbox.hasRoom(this.#options.observeIntervalMs)) return undefined;
    known.begun();
    return identity.announceFresh();
  }

  /** Has the device put a mark into its twin. @returns the correlation id that it will show. */
  mark(): string | undefined {
    const { outbox, watchful } = this.#host;
    if (!this.#host.online() || !watchful.valid()) return undefined;
    const correlationId = `drayage-${randomUUID()}`;
    const sent = outbox.request("mark", markOperation(correlationId), this.#options.probeTimeoutMs);
    return sent === undefined ? undefined : correlationId;
  }
}

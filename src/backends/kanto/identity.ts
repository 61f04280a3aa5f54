/**
 * Who a device is told that it is. The daemon asks on edge/thing/request after each connect, and is deaf until somebody answers on
 * edge/thing/response: a connector to a cloud where there is one, else Drayage. The same topic, with another policy id, makes a registered
 * daemon publish everything again. Neither topic carries an address, so every daemon on the broker (below one topic prefix) would take
 * what is announced there: one gateway per broker or prefix.
 */
import { randomUUID } from "node:crypto";
import type { AccountNotice, BackendClock } from "../contract.ts";
import { identityPayload, readIdentity } from "./envelope.ts";
import { isTopicLevel, type KantoTarget } from "./topics.ts";

/** Different things that are told per device: whoever may publish here must not be able to fill the cluster with events. */
const MOST_TOLD = 8;
/** Longest name of a stranger that is told. */
const LONGEST_TOLD = 128;

/** Marks policy ids as made by Drayage, by this or another process. */
const OURS = /:drayage\.[0-9a-f]+\.[0-9]+$/;

export interface IdentityHost {
  readonly clock: BackendClock;
  /** How long a connector has to answer before Drayage does, ms. */
  readonly patienceMs: number;
  /** Whether this process may answer the device at all. */
  mayAnswer(): boolean;
  /** Publishes an announcement; @returns its number. */
  send(payload: string): number | undefined;
  notice(notice: AccountNotice): void;
}

export class Identity {
  readonly #target: KantoTarget;
  readonly #host: IdentityHost;
  readonly #instance = randomUUID().slice(0, 8);
  readonly #told = new Set<string>();
  #tenant: string;
  #counter = 0;
  /** Announcements of this device by a connector. */
  #connectorAnnouncements = 0;
  #timer: unknown;

  /** @param tenant EdgeBackend.spec.kanto.tenant; a connector's own word is preferred. */
  constructor(target: KantoTarget, tenant: string, host: IdentityHost) {
    this.#target = target;
    this.#tenant = tenant;
    this.#host = host;
  }

  /** Announces what differs from all before: the daemon publishes everything again. @returns the announcement's number. */
  announceFresh(): number | undefined {
    this.#counter += 1;
    return this.#host.send(this.#current());
  }

  /** The device, or another Kanto service on it, asks who it is. */
  requested(): void {
    const { clock, patienceMs } = this.#host;
    clock.clearTimeout(this.#timer);
    const heard = this.#connectorAnnouncements;
    if (heard === 0) {
      this.#answer();
      return;
    }
    // A connector answers only while its cloud is in reach, and an unanswered daemon is deaf, and dies of the next change of state.
    this.#timer = clock.setTimeout(() => {
      if (this.#connectorAnnouncements === heard) this.#answer();
    }, patienceMs);
  }

  close(): void {
    this.#host.clock.clearTimeout(this.#timer);
  }

  /** Other Kanto services ask on the same topic: to a registered daemon the same identity again means nothing. */
  #answer(): void {
    if (this.#host.mayAnswer()) this.#host.send(this.#current());
  }

  #current(): string {
    const namespace = this.#target.gatewayId.slice(0, this.#target.gatewayId.indexOf(":"));
    return identityPayload({
      deviceId: this.#target.gatewayId,
      tenantId: this.#tenant,
      policyId: `${namespace}:drayage.${this.#instance}.${this.#counter}`,
    });
  }

  /**
   * Somebody, perhaps this process, announced an identity.
   *
   * @returns false if it is malformed.
   */
  announced(payload: string): boolean {
    const identity = readIdentity(payload);
    if (identity === undefined) return false;
    const { gatewayId, topicPrefix } = this.#target;
    if (identity.deviceId !== gatewayId) {
      this.#tell(
        "OtherGateway",
        `somebody announces gateway ${identity.deviceId.slice(0, LONGEST_TOLD)} where an EdgeDevice expects ${gatewayId}${topicPrefix === "" ? "" : ` (below ${topicPrefix})`}: correct spec.kanto.thingId, or give each device a broker or topicPrefix of its own`,
      );
      return true;
    }
    if (OURS.test(identity.policyId)) return true;
    // The daemon makes topics of it, and so would it of our word.
    if (identity.tenantId !== "" && !isTopicLevel(identity.tenantId)) return false;
    this.#connectorAnnouncements += 1;
    if (identity.tenantId !== "" && identity.tenantId !== this.#tenant) {
      this.#tell(
        "OtherTenant",
        `the connector of ${gatewayId} announces tenant ${identity.tenantId}, the EdgeBackend says ${this.#tenant}: the connector's is used`,
      );
      this.#tenant = identity.tenantId;
    }
    return true;
  }

  #tell(reason: string, message: string): void {
    if (this.#told.has(message) || this.#told.size >= MOST_TOLD) return;
    this.#told.add(message);
    this.#host.notice({ reason, message, type: "Warning" });
  }
}

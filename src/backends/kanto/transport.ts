/**
 * The seam between a device's session and what carries its envelopes. A session (with runner, sync, presence and outbox) knows the Ditto
 * envelopes of container-management and in which order the daemon handles them; it does not know whether they travel on the device's own
 * MQTT topics, through a connector and a cloud broker, or over HTTP. A Transport is one connection to one endpoint and carries any number
 * of devices; a Link is the way to one of them. account.ts makes the transport that EdgeBackend.spec.kanto.transport names.
 *
 * How to write one:
 *  - `attach` returns a Link at once and works on reaching the device by itself. It calls `up` once answers and events of the device will
 *    reach us (so never before subscriptions are confirmed), `down` when that ends, `refused` when the endpoint forbids it. `up` and `down`
 *    alternate. Nothing is called any more after `close` of the link.
 *  - `send` writes one envelope in the very turn of the call, or not at all (G3); it never stores, queues or sends again (G2). An HTTP
 *    transport must hold an open connection for that, or refuse. A reply is delivered as a Response with the request's id and HTTP-like
 *    status; a reply that does not come is simply never delivered: the session finds out how the command ended.
 *  - Whatever the device says is delivered through `receive`, in the order in which it came, as raw text: parsing and counting of malformed
 *    bodies is the session's. Texts that fit no Inbound are counted by `TransportDeps.malformed`.
 *  - `traits` say what the session may rely on. An inventory that is announced for (Announce) arrives as events, one modify of each
 *    `/features/Container:<id>` and the modify of `/features/ContainerFactory` after them, as the daemon itself publishes them; one that is
 *    read (Fetch) as Stored. What was read and what was told must be delivered in the order in which the store changed.
 */
import type { EdgeBackendSpec } from "../../crds/edge-backend.ts";
import type { AccountCredentials, AccountNotice, AccountStatus, BackendDeps } from "../contract.ts";
import type { Operation } from "./envelope.ts";
import type { KantoTarget } from "./topics.ts";

/** What the session may rely on. */
export interface LinkTraits {
  /**
   * How everything is had.
   * Announce: `announce` of a fresh identity makes the daemon publish everything again (on its own broker only).
   * Fetch: `fetch` reads everything from a store beside the device, which says nothing of whether the device is there (twin-sync.ts).
   * Watch: it cannot be asked for; complete is what a registration of the device proved, followed without a gap (watch.ts).
   */
  readonly inventory: "Announce" | "Fetch" | "Watch";
  /** Something between drops a reply that takes longer than the request's `timeout` header says: the session sets the header. */
  readonly replyFilter: boolean;
  /** An envelope is confirmed only with its reply: that none has come says nothing. */
  readonly confirmedByReply?: true;
  /** Largest envelope that is carried, bytes; unset: no limit of its own. */
  readonly maxBytes?: number;
}

/** What became of an envelope. */
export type PublishResult =
  /** The endpoint has taken it. `noSubscriber`: a hint only that nobody listens. */
  | { kind: "Acknowledged"; noSubscriber: boolean }
  /** The endpoint refused it; it went nowhere. `denied`: for lack of rights. */
  | { kind: "Refused"; denied: boolean; reason: string }
  /** The connection ended first: it may have arrived, or not. */
  | { kind: "Unconfirmed" };

/** One command envelope. */
export interface Request {
  /** Fresh for each send; also the correlation id of the envelope. */
  requestId: string;
  operation: Operation;
  /** The Ditto protocol envelope as JSON. */
  payload: string;
  /** How long the reply may take, ms. */
  replyWithinMs: number;
}

/** What arrives from or about a device. */
export type Inbound =
  /** @see readAnswer for the payload. */
  | { kind: "Response"; requestId: string; status: number; payload: string }
  /** A twin event. */
  | { kind: "Event"; payload: string }
  /** No reply to this request will come any more, whatever became of it. */
  | { kind: "NoReply"; requestId: string }
  /** Everything, as it was read: the features of the thing as JSON. `asked`: read since the last `fetch`, not before. */
  | { kind: "Stored"; payload: string; asked: boolean }
  /** Somebody asks who the device is; only where `announce` exists. What is asked does not matter. */
  | { kind: "IdentityRequest"; payload: string }
  /** Somebody, perhaps this process, announced it. */
  | { kind: "IdentityResponse"; payload: string }
  /** The connector on the device says whether it has its cloud; untrusted text. */
  | { kind: "ConnectorStatus"; payload: string };

/** What a session gives to its link. */
export interface LinkHandlers {
  /**
   * Answers and events of the device reach us from now on.
   *
   * @param resumed nothing that the device said since the last `down` was lost.
   */
  up(resumed: boolean): void;
  down(): void;
  /** The endpoint refuses this device; for people. Tried again by the link. */
  refused(message: string): void;
  receive(inbound: Inbound): void;
}

/** The way to one device. */
export interface Link {
  readonly traits: LinkTraits;
  /** Where the device is spoken to, for people. */
  readonly where: string;
  /** @returns false if nothing left this process; then `done` is not called. Else it is called at most once, later. */
  send(request: Request, done: (result: PublishResult) => void): boolean;
  /** Announces an identity; exists with inventory Announce. @returns false if nothing left this process. */
  announce?(payload: string): boolean;
  /** Reads everything; exists with inventory Fetch. @returns false if nothing left this process. */
  fetch?(): boolean;
  /** Ends it; nothing is delivered any more. */
  close(): void;
}

/** A connection to one endpoint. */
export interface Transport {
  readonly endpoint: string;
  readonly status: AccountStatus;
  /** Begins to connect and keeps at it until `close`. */
  start(): void;
  /**
   * The way to a device.
   *
   * @throws TargetError if another device is attached that it cannot be told apart from.
   */
  attach(target: KantoTarget, handlers: LinkHandlers): Link;
  close(): Promise<void>;
}

/** What an account gives to its transport. */
export interface TransportDeps extends BackendDeps {
  onStatus(status: AccountStatus): void;
  onNotice(notice: AccountNotice): void;
  /** Counts and logs a dropped message. @param kind what it should have been. @param where its topic or resource. */
  malformed(kind: string, where: string): void;
}

export type KantoSpec = NonNullable<EdgeBackendSpec["kanto"]>;

/** Everything that a transport is made from. */
export interface TransportOptions {
  spec: EdgeBackendSpec;
  kanto: KantoSpec;
  credentials: AccountCredentials;
}

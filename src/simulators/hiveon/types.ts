// Words of the Hiveon simulator: what it is made with, its quirks, and what its books tell.

import type { Clock } from "../clock.ts";
import type { FaultRule, GatewayEffect, HttpEffect } from "../http-server.ts";

/** A price of a machine. The amount is a text, as in the vendor's webhooks. */
export interface Price {
  id: string;
  /** Per rented minute. */
  amount: string;
  currency: string;
}

export interface MachineOptions {
  id: string;
  /** Default: one, `<id>-price`, at 1 BTC. */
  prices?: readonly Price[];
  /** Rentals that it takes at a time. Default 1. More than one lets a client's second start through, so that it shows in the books. */
  slots?: number;
}

/** What the vendor's pages leave open, and what the simulator does about it. Each can be changed while it runs. */
export interface Quirks {
  /** Start on a machine that is not available. Default 400. */
  unavailableStatus: 400 | 404 | 409;
  /** Start at a price that the machine does not have. Default 400. */
  stalePriceStatus: 400 | 404;
  /** Default `error`: `{"error": "..."}`; `grpc`: `{"code", "message", "details"}`. */
  errorBody: "error" | "grpc" | "empty";
  /** A failed rental gives its machine back by itself, and costs nothing any more. Default false. */
  releaseAfterFailed: boolean;
  /** For so long after a start its deployment is not found. Default 0. */
  visibleAfterMs: number;
  /** Another path of the lookup by the caller's id, with `{id}`; the common path then knows only the vendor's own. */
  externalIdPath: string | undefined;
  /** A start with an external id that is known. Default `second`: another rental. */
  duplicates: "second" | "refuse" | "same";
  /** Zero values are left out of JSON, as Protobuf's JSON mapping does. Default false. */
  omitZero: boolean;
  /** Default `object`. */
  failReason: "object" | "string" | "null" | "missing";
  /** The status is a word that no page has. Default false. */
  unknownStatus: boolean;
  /** Answers have fields that no page has. Default false. */
  extraFields: boolean;
  /** Request fields that no page has. Default `refuse`. */
  unknownFields: "refuse" | "ignore";
  /** Stop of a stopped deployment. Default 200. */
  stopTwice: 200 | 400 | 404 | 409;
  /** The status shows the metadata of the start. Default true. */
  echoMetadata: boolean;
  /** A guess, documented nowhere: the status's metadata holds an SSH address. Default false. */
  guessSshAddress: boolean;
  /** Stopped deployments are forgotten after so long. Default: never. */
  forgetAfterMs: number | undefined;
}

export const DEFAULT_QUIRKS: Quirks = {
  unavailableStatus: 400,
  stalePriceStatus: 400,
  errorBody: "error",
  releaseAfterFailed: false,
  visibleAfterMs: 0,
  externalIdPath: undefined,
  duplicates: "second",
  omitZero: false,
  failReason: "object",
  unknownStatus: false,
  extraFields: false,
  unknownFields: "refuse",
  stopTwice: 200,
  echoMetadata: true,
  guessSshAddress: false,
  forgetAfterMs: undefined,
};

export interface HiveonOptions {
  /** Port on 127.0.0.1. Default: a free one. */
  port?: number;
  /** Default `hiveon-key`. */
  apiKey?: string;
  machines: readonly MachineOptions[];
  clock?: Clock;
  /** From PENDING to RUNNING. Default 2000. */
  startMs?: number;
  /** From STOPPING to STOPPED. Default 1000. */
  stopMs?: number;
  quirks?: Partial<Quirks>;
  /** Makes ids repeatable. Default `hiveon`. */
  seed?: string;
  webhook?: WebhookOptions;
  log?: (line: string) => void;
}

export interface WebhookOptions {
  url: string;
  secret: string;
}

export type Status =
  | "STATUS_UNSPECIFIED"
  | "STATUS_PENDING"
  | "STATUS_RUNNING"
  | "STATUS_STOPPING"
  | "STATUS_STOPPED"
  | "STATUS_FAILED";

/** A rental as the vendor's books have it. */
export interface Rental {
  readonly deploymentId: string;
  readonly externalId: string;
  readonly machineId: string;
  readonly priceId: string;
  readonly image: string;
  readonly status: Status;
  /** It costs money. */
  readonly rented: boolean;
  /** Numbers of the moments at which it began and ended to cost, in the order of all such moments. */
  readonly beganAt: number;
  readonly endedAt: number | undefined;
  readonly rentedMs: number;
  readonly cost: number;
  readonly stops: number;
  /** The body of its start. */
  readonly request: Readonly<Record<string, unknown>>;
}

/** A request as it came. */
export interface SeenRequest {
  readonly kind: "start" | "stop" | "status" | "other";
  readonly method: string;
  readonly path: string;
  /** What was answered; undefined while it is open, 0 where the connection was broken instead. */
  readonly status: number | undefined;
}

/** What befalls a request. */
export type Effect = HttpEffect | GatewayEffect;

export type Rule = FaultRule<"start" | "stop" | "status", Effect>;

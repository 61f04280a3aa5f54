import type { Clock } from "../clock.ts";
import type { FaultRule, GatewayEffect, HttpEffect } from "../http-server.ts";
import type { ErrorCode } from "./texts.ts";

/** How events are written into the body of a stream; the vendor's pages allow each of them. */
export type Framing = "sse-lf" | "sse-crlf-ping" | "ndjson" | "concatenated" | "single-json";

/** What the vendor's pages leave open, and chaos. Settable while it runs. */
export interface Quirks {
  framing: Framing;
  /** How bytes are cut: an event each, all at once at the end, byte by byte, or in the middle of events and of UTF-8 characters. */
  chunks: "event" | "all" | "bytes" | "middle";
  contentType: string;
  /** Where errors that are known before anything begins are told: as an event of a stream under 200, or by an HTTP status. */
  errors: "stream" | "http";
  /** Key under which events carry the error's code; undefined: only its sentence. */
  codeKey: string | undefined;
  /** HTTP status of a list that the key may not see, or false where lists work. */
  unlistable: false | 403 | 404 | 405;
  /** Whether GET .../alpon tells if the device is online. */
  deviceStatus: boolean;
  /** Envelope of lists. */
  envelope: "array" | "data" | "containers";
  /** What a list tells of a container beside its name. */
  echo: { image: boolean; environments: boolean; config: boolean; state: boolean };
  /** A new container is listed so much later, ms. */
  visibleAfterMs: number;
  /** A deleted one is listed so much longer, ms. */
  lingersMs: number;
  /** Answer of a DELETE. */
  deleted: "json" | "stream" | "empty";
  /** Status of a DELETE of something absent. */
  deletedTwice: 200 | 404;
  /** What a failed update leaves. */
  failedUpdate: "old" | "new";
  /** What becomes of fields that no page has. */
  unknownFields: "ignore" | "refuse";
  /** Undocumented keys. */
  keys: {
    portHost: string;
    portContainer: string;
    volumeHost: string;
    volumeContainer: string;
    hostNetwork: string;
    privileged: string;
  };
}

export const DEFAULT_QUIRKS: Quirks = {
  framing: "sse-lf",
  chunks: "event",
  contentType: "text/event-stream",
  errors: "stream",
  codeKey: undefined,
  unlistable: false,
  deviceStatus: true,
  envelope: "data",
  echo: { image: true, environments: true, config: true, state: true },
  visibleAfterMs: 0,
  lingersMs: 0,
  deleted: "json",
  deletedTwice: 404,
  failedUpdate: "old",
  unknownFields: "ignore",
  keys: {
    portHost: "host_port",
    portContainer: "container_port",
    volumeHost: "host_path",
    volumeContainer: "container_path",
    hostNetwork: "host_network",
    privileged: "privileged",
  },
};

/** The four kinds of ids that name one asset. */
export interface AssetIds {
  serial: string;
  uuid: string;
  sid: string;
  iccid: string;
}

export interface AssetOptions extends Partial<Omit<AssetIds, "serial">> {
  serial: string;
  /** A plain SIM is an asset, too. Default alpon. */
  kind?: "alpon" | "sim";
  /** Bundle version; Downloading and Unpacking are told from 25.1.19 on. Default 25.1.19.4. */
  bundle?: string;
}

export interface AlponOptions {
  /** Port on 127.0.0.1. Default: a free one. */
  port?: number;
  /** Default `alpon-key`. */
  apiKey?: string;
  assets: readonly AssetOptions[];
  clock?: Clock;
  /** Between two events of a stream. Default 200. */
  stepMs?: number;
  quirks?: Partial<Quirks>;
  log?: (line: string) => void;
}

/** A container as the device has it. */
export interface Container {
  readonly name: string;
  image: string;
  environments: Readonly<Record<string, unknown>>;
  ports: readonly { host: number; container: number }[];
  volumes: readonly { host: string; container: string }[];
  hostNetwork: boolean;
  privileged: boolean;
  /** Running, Pending, or a waiting reason of the kubelet's. */
  state: string;
  readonly createdAt: number;
  /** Number of its making, from 1: a second one under the same name has another. */
  readonly serial: number;
  /** How often an update has changed it. */
  updates: number;
}

export type RequestKind = "deploy" | "update" | "delete" | "list" | "status" | "asset" | "assets" | "other";

/** A request as it came. */
export interface SeenRequest {
  readonly kind: RequestKind;
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
  /** undefined while it is open, 0 where the connection was broken instead. */
  readonly status: number | undefined;
}

/** What befalls a request. `before`: nothing was done. `after`: it was done first. */
export type Effect =
  | HttpEffect
  | GatewayEffect
  /** Events of the stream come twice each, or those before the last one in reverse. */
  | { kind: "events"; how: "twice" | "reversed" }
  /** The stream ends after so many events, and the device goes on all the same, or does not. */
  | { kind: "cut"; afterEvents: number; completes: boolean; how?: "reset" | "end" }
  /** The stream stays open after so many events and says nothing more. */
  | { kind: "stall"; afterEvents: number; completes: boolean }
  /** The device fails with this after so many events. `applied`: it has taken effect all the same. */
  | { kind: "fail"; code: ErrorCode; afterEvents?: number; applied?: boolean };

export type Rule = FaultRule<RequestKind, Effect>;

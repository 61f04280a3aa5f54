// The Ditto simulator: Eclipse Ditto's HTTP API in front of simulated Kanto devices, with the road between them (connector, messaging, Ditto's
// connection) and everything that goes wrong on it. Twins (twin-store) are fed by what the devices say (bridge), told by GET (gateway) and by
// server-sent events (streams). It shares no code with the client in src/backends. What is reproduced: docs/simulators.md.

import { createServer, type Server } from "node:http";
import type { Socket } from "node:net";
import { systemClock, type Clock } from "../clock.ts";
import type { Credentials, TlsOptions } from "../kanto/mqtt-socket.ts";
import type { DittoUsers } from "./auth.ts";
import { Bridge } from "./bridge.ts";
import { DittoFaults } from "./faults.ts";
import { Gateway, type ReceivedMessage } from "./gateway.ts";
import { Streams } from "./streams.ts";
import { TwinStore } from "./twin-store.ts";
import type { StoredThing } from "./types.ts";

export type { DittoUsers } from "./auth.ts";
export type { MessageEffect, MessageRule, TwinRule } from "./faults.ts";
export type { ReceivedMessage } from "./gateway.ts";

export interface DittoOptions {
  /** Broker on which the devices are, as a connector on each of them would see it. */
  brokerUrl: string;
  credentials?: Credentials;
  tls?: TlsOptions;
  /** Things that are provisioned; messages and twin commands for others go nowhere. */
  things: readonly string[];
  users: DittoUsers;
  /** On 127.0.0.1; 0, the default, for a free one. */
  port?: number;
  /** Path before `/api/2`. Default none. */
  basePath?: string;
  clock?: Clock;
  /** Length of a second of Ditto's timeouts and heart-beats, ms. Default 1000; tests shorten it. */
  secondMs?: number;
  /** Default 60 and 10 s, as Ditto's. */
  maxTimeoutS?: number;
  defaultTimeoutS?: number;
  /** Default 250 kB, as Ditto's. */
  maxMessageBytes?: number;
  /** Default 100 kB, as Ditto's. */
  maxThingBytes?: number;
  /** Whether to wait until the devices are heard, for as long as the broker is away. Default true. */
  awaitBroker?: boolean;
  /** First delay of a reconnection to the broker, ms. Default 1000. */
  reconnectMs?: number;
}

export interface Ditto {
  /** `http://127.0.0.1:<port><basePath>` */
  readonly url: string;
  readonly faults: DittoFaults;
  /** Messages received, oldest first. */
  readonly messages: readonly ReceivedMessage[];
  /** GETs of a thing so far. */
  readonly reads: number;
  /** Answers of devices that came too late, twice, or to nobody. */
  readonly droppedAnswers: number;
  readonly streams: { readonly open: number; readonly opened: number };
  thing(thingId: string): StoredThing | undefined;
  /** Provisions a thing, or deletes it. */
  createThing(thingId: string): void;
  deleteThing(thingId: string): void;
  /** The device's link to the cloud. */
  linkDown(thingId: string, lose?: boolean): void;
  linkUp(thingId: string): void;
  cutStreams(how?: "fin" | "reset"): void;
  /** Writes this on all streams as it is. */
  inject(text: string): void;
  /** All connections of clients break; messages under way are passed on or not as they were. */
  cutAll(): void;
  /** Ditto goes away, with all connections and all messages under way; twins live on. Resolves when it is gone. */
  stop(): Promise<void>;
  /** It comes back on the same port. */
  start(): Promise<void>;
  close(): Promise<void>;
}

/** Starts it. Resolves when it serves and hears the devices. @throws Error when the port is taken */
export async function startDitto(options: DittoOptions): Promise<Ditto> {
  const { brokerUrl, credentials, tls, clock = systemClock, secondMs = 1000, basePath = "", reconnectMs } = options;
  const faults = new DittoFaults();
  const twins = new TwinStore(() => clock.now(), options.maxThingBytes);
  const streams = new Streams({ clock, secondMs, faults });
  const bridge = new Bridge({
    brokerUrl,
    networkClock: clock,
    secondMs,
    twins,
    faults,
    ...(credentials ? { credentials } : {}),
    ...(tls ? { tls } : {}),
    ...(reconnectMs === undefined ? {} : { reconnectMs }),
  });
  const gateway = new Gateway({
    clock,
    secondMs,
    users: options.users,
    twins,
    bridge,
    streams,
    faults,
    maxTimeoutS: options.maxTimeoutS ?? 60,
    defaultTimeoutS: options.defaultTimeoutS ?? 10,
    maxMessageBytes: options.maxMessageBytes ?? 250 * 1024,
    basePath,
  });
  for (const thingId of options.things) {
    twins.create(thingId);
  }
  twins.subscribe((event) => streams.tell(event));

  const sockets = new Set<Socket>();
  let server: Server | undefined;
  let port = options.port ?? 0;
  const listen = async (): Promise<void> => {
    const made = createServer((request, response) => void gateway.handle(request, response));
    // Like nginx in front of Ditto: an idle connection is kept for 75 s.
    made.keepAliveTimeout = 75_000;
    made.on("connection", (socket) => {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
      // Broken by the other side: part of the game.
      socket.on("error", () => undefined);
    });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    made.once("error", reject);
    made.listen(port, "127.0.0.1", resolve);
    await promise;
    server = made;
    const address = made.address();
    port = typeof address === "object" && address !== null ? address.port : port;
  };
  const cutAll = (): void => {
    for (const socket of sockets) {
      socket.resetAndDestroy();
    }
  };
  const stop = async (): Promise<void> => {
    const ending = server;
    if (!ending) {
      return;
    }
    server = undefined;
    const { promise, resolve } = Promise.withResolvers<void>();
    ending.close(() => resolve());
    cutAll();
    await promise;
  };

  await listen();
  try {
    const heard = bridge.start();
    if (options.awaitBroker ?? true) {
      await heard;
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url: `http://127.0.0.1:${port}${basePath}`,
    faults,
    messages: gateway.messages,
    get reads() {
      return gateway.reads;
    },
    get droppedAnswers() {
      return bridge.dropped;
    },
    streams,
    thing: (thingId) => twins.get(thingId),
    createThing: (thingId) => twins.create(thingId),
    deleteThing: (thingId) => twins.delete(thingId),
    linkDown: (thingId, lose) => bridge.linkDown(thingId, lose),
    linkUp: (thingId) => bridge.linkUp(thingId),
    cutStreams: (how) => streams.cut(how),
    inject: (text) => streams.inject(text),
    cutAll,
    stop,
    start: async () => {
      if (!server) {
        await listen();
      }
    },
    close: async () => {
      bridge.stop();
      await stop();
      faults.releaseTwins();
    },
  };
}

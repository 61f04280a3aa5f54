// The MQTT brokers that tests connect to. This file starts an embedded one (aedes: MQTT 3.1.1 only, no binary needed); mosquitto.ts starts
// the real mosquitto where it is installed, for MQTT 5 and a second opinion. Both listen on loopback on a free port, so any number of them
// run side by side. certificates.ts issues the throw-away certificates for TLS.

import { createServer as createTcpServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { Aedes, type Client } from "aedes";

/** PEM texts for a TLS listener; certificates.ts makes a set. */
export interface BrokerTls {
  cert: string;
  key: string;
  /** With it a client certificate signed by this CA is required (mTLS). */
  clientCa?: string;
}

export interface BrokerOptions {
  /** Fixed TCP port; default a free one. */
  port?: number;
  /** Decides on a connection by user name and password; without it everyone may connect. A refusal is CONNACK 4 (bad user name or password). */
  authenticate?: (username: string | undefined, password: string | undefined, clientId: string) => boolean;
  /** Decides on a publish; a refused one closes the publisher's connection, as the MQTT 3.1.1 standard leaves no other answer. */
  authorizePublish?: (clientId: string, topic: string) => boolean;
  tls?: BrokerTls;
}

/** One message as the broker saw it, kept for assertions. */
export interface BrokerMessage {
  /** Empty for the broker's own `$SYS` messages, which are not recorded. */
  clientId: string;
  topic: string;
  payload: Buffer;
  qos: number;
  retain: boolean;
}

export interface TestBroker {
  /** `mqtt://127.0.0.1:<port>`, or `mqtts://localhost:<port>` with TLS. */
  readonly url: string;
  readonly port: number;
  /** Every message published by a client so far, oldest first; clear it with `messages.length = 0`. */
  readonly messages: BrokerMessage[];
  /** How many PUBACKs the client has sent for messages delivered to it. */
  acknowledgements(clientId: string): number;
  /** Ids of the clients that are connected now. */
  clientIds(): string[];
  /** Cuts the TCP connections of the clients that the filter names (default: all), with no MQTT word of farewell. Returns how many. */
  dropClients(filter?: (clientId: string) => boolean): number;
  /** Closes the listener and cuts every connection; retained messages survive. */
  pause(): Promise<void>;
  /** Listens again on the same port. */
  resume(): Promise<void>;
  /** Publishes from the broker itself (seen by all subscribers, not recorded in `messages`). QoS 1. */
  publish(topic: string, payload: string, retain?: boolean): Promise<void>;
  close(): Promise<void>;
}

/** aedes' return code for a refused login (CONNACK 4); its const enum cannot be imported under isolatedModules. */
const BAD_USERNAME_OR_PASSWORD = 4;

/**
 * Starts an embedded broker on 127.0.0.1.
 * @throws when the port cannot be bound.
 */
export async function startBroker(options: BrokerOptions = {}): Promise<TestBroker> {
  const connected = new Map<string, Client>();
  const sockets = new Set<Socket>();
  const messages: BrokerMessage[] = [];
  const acknowledgements = new Map<string, number>();
  const aedes = await Aedes.createBroker({
    authenticate: (client, username, password, done) => {
      if (options.authenticate?.(username, password?.toString("utf8"), client.id) ?? true) {
        done(null, true);
      } else {
        done(
          Object.assign(new Error("bad user name or password"), {
            returnCode: BAD_USERNAME_OR_PASSWORD,
          }),
          null,
        );
      }
    },
    authorizePublish: (client, packet, callback) => {
      const allowed = client === null || (options.authorizePublish?.(client.id, packet.topic) ?? true);
      // Recorded here and not at the `publish` event, which comes after the subscribers have their copies.
      if (client && allowed) {
        const { topic, payload, qos, retain } = packet;
        messages.push({ clientId: client.id, topic, payload: Buffer.from(payload), qos, retain });
      }
      callback(allowed ? null : new Error("publish refused by the test broker"));
    },
  });
  // `client` comes before the CONNACK goes out, `clientReady` after it: a test that saw its CONNACK must find itself here.
  aedes.on("client", (client) => connected.set(client.id, client));
  aedes.on("clientDisconnect", (client) => {
    if (connected.get(client.id) === client) {
      connected.delete(client.id);
    }
  });
  // On a clean session aedes does not say which message it was.
  aedes.on("ack", (_packet, { id }) => acknowledgements.set(id, (acknowledgements.get(id) ?? 0) + 1));

  const onConnection = (socket: Socket): void => {
    // Small packets in both directions: without this each exchange waits 40 ms for a delayed acknowledgement.
    socket.setNoDelay(true);
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    aedes.handle(socket);
  };
  const { tls } = options;
  const server: Server = tls
    ? createTlsServer(
        {
          cert: tls.cert,
          key: tls.key,
          ...(tls.clientCa ? { ca: tls.clientCa, requestCert: true, rejectUnauthorized: true } : {}),
        },
        onConnection,
      )
    : createTcpServer(onConnection);
  // A client that refuses our certificate, or brings none, is the test's business, not the broker's.
  server.on("tlsClientError", () => undefined);

  const listen = async (port: number): Promise<number> => {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      server.off("error", reject);
      resolve(portOf(server));
    });
    return promise;
  };
  const pause = async (): Promise<void> => {
    if (!server.listening) {
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    server.close(() => resolve());
    for (const socket of sockets) {
      socket.destroy();
    }
    await promise;
  };

  const port = await listen(options.port ?? 0);
  return {
    url: tls ? `mqtts://localhost:${port}` : `mqtt://127.0.0.1:${port}`,
    port,
    messages,
    acknowledgements: (clientId) => acknowledgements.get(clientId) ?? 0,
    clientIds: () => [...connected.keys()],
    dropClients: (filter = () => true) => {
      const dropped = [...connected.values()].filter((client) => filter(client.id));
      for (const client of dropped) {
        client.conn.destroy();
      }
      return dropped.length;
    },
    pause,
    resume: async () => {
      await listen(port);
    },
    publish: async (topic, payload, retain = false) => {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      aedes.publish({ cmd: "publish", topic, payload, qos: 1, dup: false, retain }, (error) =>
        error ? reject(error) : resolve(),
      );
      return promise;
    },
    close: async () => {
      await pause();
      const { promise, resolve } = Promise.withResolvers<void>();
      aedes.close(() => resolve());
      await promise;
    },
  };
}

/** The port a listening TCP server has. */
export function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") {
    throw new Error("the server does not listen on a TCP port");
  }
  return address.port;
}

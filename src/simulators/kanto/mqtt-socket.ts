// Opens a connection to a broker, plain or with TLS, and sends the CONNECT packet of an MQTT 3.1.1 client with a clean session.

import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { generate } from "mqtt-packet";

export interface TlsOptions {
  /** PEM of the CA to trust; default the machine's. */
  ca?: string;
  /** PEM of a client certificate and its key, for mTLS. */
  cert?: string;
  key?: string;
  /** Name expected in the server's certificate; default the host of the URL. */
  serverName?: string;
}

export interface Credentials {
  username: string;
  password: string;
}

export interface ConnectionOptions {
  /** `mqtt://host:port` or `mqtts://host:port` (also tcp, ssl, tls). */
  url: string;
  clientId: string;
  credentials?: Credentials;
  tls?: TlsOptions;
  /** Default 20, as the daemon's. */
  keepaliveS?: number;
}

export const KEEPALIVE_S = 20;

const SECURED = new Set(["mqtts:", "ssl:", "tls:"]);

/** Begins to connect; CONNECT goes out when the connection, or the TLS session, stands. */
export function openSocket({
  url,
  clientId,
  credentials,
  tls = {},
  keepaliveS = KEEPALIVE_S,
}: ConnectionOptions): Socket {
  const { protocol, hostname: bracketed, port } = new URL(url);
  const hostname = bracketed.replace(/^\[|\]$/g, "");
  const secured = SECURED.has(protocol);
  const address = { host: hostname, port: Number(port === "" ? (secured ? 8883 : 1883) : port) };
  const hello = (): void => {
    socket.write(
      generate({
        cmd: "connect",
        protocolId: "MQTT",
        protocolVersion: 4,
        clean: true,
        clientId,
        keepalive: keepaliveS,
        ...(credentials ? { username: credentials.username, password: Buffer.from(credentials.password) } : {}),
      }),
    );
  };
  const { ca, cert, key, serverName = hostname } = tls;
  const socket: Socket = secured
    ? connectTls(
        {
          ...address,
          servername: serverName,
          ...(ca === undefined ? {} : { ca }),
          ...(cert === undefined ? {} : { cert }),
          ...(key === undefined ? {} : { key }),
        },
        hello,
      )
    : connectTcp(address, hello);
  socket.setNoDelay(true);
  return socket;
}

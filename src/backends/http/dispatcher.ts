/** Connections of one account: TLS, proxy, and how long they are kept. */
import { isIP } from "node:net";
import { Agent, EnvHttpProxyAgent, type Dispatcher } from "undici";

/** How an account's server is reached; all of it comes from the EdgeBackend and the Secrets it names. */
export interface HttpTls {
  /** PEM of the authorities that are trusted instead of the system's. */
  ca?: string;
  /** PEM of our own certificate and its key. */
  clientCert?: string;
  clientKey?: string;
  /** Name that the server's certificate must be for. Default: the host of the url. */
  serverName?: string;
}

/** Environment variables of a proxy, as curl has them; upper and lower case. */
export type ProxyEnvironment = Readonly<Record<string, string | undefined>>;

/** Idle connections are let go before common load balancers (60 s) would cut them in the middle of a request. */
const KEEP_ALIVE_MS = 30_000;

/**
 * @param connections at most this many at a time.
 * @param env where HTTPS_PROXY, HTTP_PROXY and NO_PROXY are read; addresses of this machine are never proxied.
 */
export function createDispatcher(
  origin: string,
  tls: HttpTls,
  options: { connections: number; connectTimeoutMs: number; env: ProxyEnvironment },
): Dispatcher {
  const secure = {
    ...(tls.ca !== undefined && { ca: tls.ca }),
    ...(tls.clientCert !== undefined && { cert: tls.clientCert }),
    ...(tls.clientKey !== undefined && { key: tls.clientKey }),
    ...(tls.serverName !== undefined && { servername: tls.serverName }),
  };
  const connect = {
    ...secure,
    timeout: options.connectTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelay: 15_000,
  };
  const common = {
    // One lost HTTP/2 connection would take every request with it, and the order of two would be unknown.
    allowH2: false,
    connections: options.connections,
    pipelining: 1,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MS,
    connect,
  };
  const proxies = proxySettings(origin, options.env);
  return proxies === undefined
    ? new Agent(common)
    : new EnvHttpProxyAgent({ ...common, requestTls: connect, ...proxies });
}

/** @returns undefined where no proxy is set or none may be used. */
export function proxySettings(
  origin: string,
  env: ProxyEnvironment,
): { httpProxy?: string; httpsProxy?: string; noProxy: string } | undefined {
  const read = (name: string): string | undefined => {
    const value = env[name.toLowerCase()] ?? env[name];
    return value === undefined || value === "" ? undefined : value;
  };
  const httpProxy = read("HTTP_PROXY");
  const httpsProxy = read("HTTPS_PROXY");
  if ((httpProxy ?? httpsProxy) === undefined || isLoopback(new URL(origin).hostname)) return undefined;
  return {
    ...(httpProxy !== undefined && { httpProxy }),
    ...(httpsProxy !== undefined && { httpsProxy }),
    noProxy: read("NO_PROXY") ?? "",
  };
}

/** Whether a host, as URL.hostname has it, is this machine. */
export function isLoopback(hostname: string): boolean {
  const bare = hostname.replace(/^\[|\]$/g, "");
  return bare === "localhost" || bare === "::1" || (isIP(bare) === 4 && bare.startsWith("127."));
}

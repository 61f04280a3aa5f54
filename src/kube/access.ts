/** The shape of a way to the API server, whichever source it comes from (config.ts finds one). */

/** What a TLS connection to the API server needs. Replaced as a whole when any part changes. */
export interface TlsMaterial {
  /** PEM; absent means the system's own authorities. */
  readonly ca?: string;
  /** PEM client certificate and key. */
  readonly cert?: string;
  readonly key?: string;
  /** Name to verify instead of the URL's host. */
  readonly servername?: string;
  readonly rejectUnauthorized: boolean;
}

export interface ClusterAccess {
  /** URL of the API server without a trailing slash, such as `https://10.0.0.1:6443`; a path is allowed (Rancher). */
  readonly server: string;
  /** The pod's own namespace, or the kubeconfig context's; "default" when neither says. */
  readonly namespace: string;
  /** The current material. A different object after each change, so that `!==` tells one. */
  readonly tls: TlsMaterial;
  /** HTTP proxy to go through (kubeconfig `proxy-url`). */
  readonly proxyUrl?: string;
  /** Where this came from, for logs: no secrets. */
  readonly source: string;
  /**
   * The Authorization header's value, or undefined when there is none. Re-reads rotated files at most once a minute.
   * @throws ClusterAccessError
   */
  authHeader(): Promise<string | undefined>;
  /**
   * Reads everything again now, for the client to call after a 401 or a TLS failure. Calls within 5 s of the last are
   * answered with false, so that a server that refuses for good does not make us read files, or run an exec plugin, for
   * each request.
   * @returns whether anything changed.
   * @throws ClusterAccessError
   */
  refresh(): Promise<boolean>;
}

/** Credentials are missing, unreadable or contradictory. The message names the file and the remedy. */
export class ClusterAccessError extends Error {
  override readonly name = "ClusterAccessError";
}

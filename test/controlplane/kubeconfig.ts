// Kubeconfig files for the users of a test control plane.

import { readFileSync, writeFileSync } from "node:fs";
import type { KeyPair } from "./certificates.ts";

export interface KubeconfigOptions {
  server: string;
  ca: string;
  user: string;
  credentials: KeyPair;
  /** Namespace of the context; default none. */
  namespace?: string;
}

/** Writes a kubeconfig with everything embedded, readable by the owner only. JSON is YAML, so kubectl and every client read it. */
export function writeKubeconfig(path: string, options: KubeconfigOptions): void {
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [
      { name: "drayage", cluster: { server: options.server, "certificate-authority-data": base64(options.ca) } },
    ],
    users: [
      {
        name: options.user,
        user: {
          "client-certificate-data": base64(options.credentials.cert),
          "client-key-data": base64(options.credentials.key),
        },
      },
    ],
    contexts: [
      {
        name: options.user,
        context: {
          cluster: "drayage",
          user: options.user,
          ...(options.namespace === undefined ? {} : { namespace: options.namespace }),
        },
      },
    ],
    "current-context": options.user,
  };
  writeFileSync(path, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
}

/** The client certificate and key of a kubeconfig that writeKubeconfig made. */
export function readCredentials(path: string): KeyPair {
  const text = (base64: string): string => Buffer.from(base64, "base64").toString();
  const config = JSON.parse(readFileSync(path, "utf8")) as {
    users: { user: { "client-certificate-data": string; "client-key-data": string } }[];
  };
  const user = config.users[0]?.user;
  if (!user) {
    throw new Error(`no user in ${path}`);
  }
  return { cert: text(user["client-certificate-data"]), key: text(user["client-key-data"]) };
}

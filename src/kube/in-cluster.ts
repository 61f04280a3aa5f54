/** A pod's own credentials: the projected service account volume, re-read as the kubelet rotates it. */

import { isIPv6 } from "node:net";
import { join } from "node:path";
import type { Clock } from "./clock.ts";
import { ClusterAccessError, type ClusterAccess } from "./access.ts";
import { Credentials, readCredentialFile, type Reading } from "./credentials.ts";

/** Where Kubernetes mounts the service account (kubernetes.io, "Directly accessing the REST API"). */
export const SERVICE_ACCOUNT_ROOT = "/var/run/secrets/kubernetes.io/serviceaccount";

export interface InClusterOptions {
  env: Readonly<Record<string, string | undefined>>;
  root: string;
  clock: Clock;
}

/** @throws ClusterAccessError when a part of the pod's credentials is missing. */
export async function inClusterAccess(options: InClusterOptions): Promise<ClusterAccess> {
  const { env, root, clock } = options;
  const host = env.KUBERNETES_SERVICE_HOST ?? "";
  const port = env.KUBERNETES_SERVICE_PORT ?? "";
  if (host === "" || port === "") {
    throw new ClusterAccessError(
      "in-cluster credentials need KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT in the environment",
    );
  }
  const read = async (): Promise<Reading> => {
    const token = (await readCredentialFile(join(root, "token"), "the service account's token")).trim();
    if (token === "") {
      throw new ClusterAccessError(`the service account's token ${join(root, "token")} is empty`);
    }
    const ca = await readCredentialFile(join(root, "ca.crt"), "the cluster's certificate authority");
    return { tls: { ca, rejectUnauthorized: true }, authHeader: `Bearer ${token}` };
  };
  const credentials = await Credentials.open(read, clock);
  const namespace = await readCredentialFile(join(root, "namespace"), "the pod's namespace").catch(() => "");
  return {
    server: `https://${isIPv6(host) ? `[${host}]` : host}:${port}`,
    namespace: namespace.trim() || "default",
    source: `service account in ${root}`,
    get tls() {
      return credentials.tls;
    },
    authHeader: () => credentials.authHeader(),
    refresh: () => credentials.refresh(),
  };
}

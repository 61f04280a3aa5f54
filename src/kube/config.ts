/**
 * Where the API server is and how to prove who we are. In a pod the mounted service account is read directly; a
 * kubeconfig goes through @kubernetes/client-node, imported only then, because exec plugins and OIDC are security code
 * that is better shared, and because importing it costs 90 MB.
 */

import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { ClusterAccessError, type ClusterAccess } from "./access.ts";
import { systemClock, type Clock } from "./clock.ts";
import { inClusterAccess, SERVICE_ACCOUNT_ROOT } from "./in-cluster.ts";
import { kubeconfigAccess } from "./kubeconfig.ts";

export interface ClusterAccessOptions {
  /** A kubeconfig file (or several, joined like KUBECONFIG). Wins over everything else. */
  kubeconfig?: string | undefined;
  /** Context to use instead of the kubeconfig's current-context. Refused for in-cluster credentials. */
  context?: string | undefined;
  env: Readonly<Record<string, string | undefined>>;
  /** Default: the machine's. */
  clock?: Clock;
  /** Folder with token, ca.crt and namespace. Default: where Kubernetes mounts it. */
  serviceAccountRoot?: string;
}

/**
 * Finds credentials, first match wins: the `kubeconfig` option, KUBECONFIG, the pod's service account, ~/.kube/config.
 * That is controller-runtime's order (pkg/client/config/config.go).
 * @throws ClusterAccessError
 */
export async function loadClusterAccess(options: ClusterAccessOptions): Promise<ClusterAccess> {
  const { env, context } = options;
  const clock = options.clock ?? systemClock;
  if (options.kubeconfig !== undefined && options.kubeconfig !== "") {
    return kubeconfigAccess({ files: options.kubeconfig.split(delimiter), origin: "--kubeconfig", context, clock });
  }
  if (env.KUBECONFIG !== undefined && env.KUBECONFIG !== "") {
    return kubeconfigAccess({ files: env.KUBECONFIG.split(delimiter), origin: "KUBECONFIG", context, clock });
  }
  const root = options.serviceAccountRoot ?? SERVICE_ACCOUNT_ROOT;
  const home = join(env.HOME ?? homedir(), ".kube", "config");
  const inPod = env.KUBERNETES_SERVICE_HOST !== undefined && env.KUBERNETES_SERVICE_HOST !== "";
  if (inPod && (existsSync(join(root, "token")) || !existsSync(home))) {
    if (context !== undefined) {
      throw new ClusterAccessError(
        `context "${context}" was asked for, but only in-cluster credentials were found; name a file with --kubeconfig`,
      );
    }
    return inClusterAccess({ env, root, clock });
  }
  if (existsSync(home)) {
    return kubeconfigAccess({ files: [home], origin: "~/.kube/config", context, clock });
  }
  throw new ClusterAccessError(
    `no credentials for a cluster: --kubeconfig and KUBECONFIG are not set, this is not a pod ` +
      `(KUBERNETES_SERVICE_HOST is not set), and ${home} does not exist`,
  );
}

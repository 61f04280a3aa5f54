// The command lines of the control plane's programs: lean, quick to start, and otherwise as near to a real cluster as one machine allows.

/** Paths in a run's folder. */
export interface Files {
  dir: string;
  /** etcd's data folder. */
  data: string;
  ca: string;
  /** One certificate serves etcd and the API server, and is the API server's client certificate towards etcd. */
  cert: string;
  key: string;
  serviceAccountKey: string;
  serviceAccountPublicKey: string;
  adminKubeconfig: string;
  managerKubeconfig: string;
}

/** etcd keeps nothing that outlives a run, so it need not wait for the disk; its clients authenticate like everybody else. */
export function etcdArgs(files: Files, port: number, peerPort: number): string[] {
  const url = `https://127.0.0.1:${port}`;
  const peerUrl = `http://127.0.0.1:${peerPort}`;
  return [
    "--name=drayage",
    `--data-dir=${files.data}`,
    `--listen-client-urls=${url}`,
    `--advertise-client-urls=${url}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=drayage=${peerUrl}`,
    `--cert-file=${files.cert}`,
    `--key-file=${files.key}`,
    `--trusted-ca-file=${files.ca}`,
    "--client-cert-auth",
    "--unsafe-no-fsync",
    "--log-level=warn",
  ];
}

export function apiServerArgs(files: Files, etcdUrl: string, port: number): string[] {
  return [
    `--etcd-servers=${etcdUrl}`,
    `--etcd-cafile=${files.ca}`,
    `--etcd-certfile=${files.cert}`,
    `--etcd-keyfile=${files.key}`,
    "--bind-address=127.0.0.1",
    "--advertise-address=127.0.0.1",
    `--secure-port=${port}`,
    `--tls-cert-file=${files.cert}`,
    `--tls-private-key-file=${files.key}`,
    `--client-ca-file=${files.ca}`,
    "--authorization-mode=RBAC",
    "--service-account-issuer=https://kubernetes.default.svc",
    `--service-account-signing-key-file=${files.serviceAccountKey}`,
    `--service-account-key-file=${files.serviceAccountPublicKey}`,
    "--service-cluster-ip-range=10.0.0.0/24",
    // Nobody reaches this server through the kubernetes Service.
    "--endpoint-reconciler-type=none",
    // Watches are ended when it stops, within a second; at 0 it would wait up to a minute for their clients to go.
    "--shutdown-delay-duration=0s",
    "--shutdown-watch-termination-grace-period=1s",
    "--allow-privileged=true",
    "--profiling=false",
    "--v=1",
  ];
}

/** Only the controllers without which objects behave otherwise than in a cluster; none of them needs a node. */
export function controllerManagerArgs(files: Files): string[] {
  const controllers = [
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "clusterrole-aggregation-controller",
  ];
  return [
    `--kubeconfig=${files.managerKubeconfig}`,
    `--controllers=${controllers.join(",")}`,
    "--leader-elect=false",
    "--use-service-account-credentials=false",
    // For Secrets of type kubernetes.io/service-account-token, with which a process outside the cluster logs in (docs/install.md).
    `--service-account-private-key-file=${files.serviceAccountKey}`,
    `--root-ca-file=${files.ca}`,
    // 0: it serves neither metrics nor health to anybody.
    "--secure-port=0",
    // Limits made for a shared cluster (20 requests per second) only slow a test down.
    "--kube-api-qps=200",
    "--kube-api-burst=400",
    "--namespace-sync-period=30s",
    "--profiling=false",
    "--v=1",
  ];
}

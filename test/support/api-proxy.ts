/** A fault proxy before the run's API server that knows the administrator's certificate, and a kubeconfig that leads to it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startHttpFaultProxy, type HttpFaultProxy } from "../faults/http-proxy.ts";

export interface ApiProxy extends AsyncDisposable {
  proxy: HttpFaultProxy;
  /** Path of a kubeconfig that leads to the proxy. */
  kubeconfig: string;
}

/** @param kubeconfig the administrator's, in JSON with everything embedded, as the test control plane writes it. */
export async function startApiProxy(kubeconfig: string): Promise<ApiProxy> {
  const config = JSON.parse(readFileSync(kubeconfig, "utf8"));
  const decode = (text: string) => Buffer.from(text, "base64").toString("utf8");
  const { cluster } = config.clusters[0];
  const { user } = config.users[0];
  const proxy = await startHttpFaultProxy({
    upstream: cluster.server,
    ca: decode(cluster["certificate-authority-data"]),
    cert: decode(user["client-certificate-data"]),
    key: decode(user["client-key-data"]),
  });
  const directory = mkdtempSync(join(tmpdir(), "drayage-proxy-"));
  const path = join(directory, "kubeconfig");
  writeFileSync(path, proxy.kubeconfig());
  return {
    proxy,
    kubeconfig: path,
    async [Symbol.asyncDispose]() {
      await proxy.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

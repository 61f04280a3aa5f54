import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import http from "node:http";
import https from "node:https";
import { connect, type AddressInfo, type Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { describe, expect, onTestFinished, test } from "vitest";
import { KubeClient } from "../../../src/kube/client.ts";
import { loadClusterAccess } from "../../../src/kube/config.ts";
import { TransportError } from "../../../src/kube/errors.ts";
import { CertificateAuthority, type KeyPair } from "../../controlplane/certificates.ts";
import { startHttpFaultProxy } from "../../faults/http-proxy.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { temporaryFile } from "../../support/temporary-file.ts";

/** A TLS server that says who its client is; its certificate can be changed. */
async function server(keys: KeyPair, clientCa?: string): Promise<{ port: number; use(keys: KeyPair): void }> {
  const made = https.createServer(
    { ...keys, ...(clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: true }) },
    (request, response) => {
      const client = (request.socket as TLSSocket).getPeerCertificate().subject?.CN ?? "";
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ client, auth: request.headers.authorization ?? "" }));
    },
  );
  made.listen(0, "127.0.0.1");
  await once(made, "listening");
  onTestFinished(async () => {
    made.closeAllConnections();
    made.close();
    await once(made, "close");
  });
  return {
    port: (made.address() as AddressInfo).port,
    use(next) {
      made.setSecureContext({ ...next, ...(clientCa === undefined ? {} : { ca: clientCa }) });
      made.closeAllConnections();
    },
  };
}

async function kubeconfig(cluster: object, user: object): Promise<string> {
  return temporaryFile(
    "kubeconfig",
    JSON.stringify({
      clusters: [{ name: "c", cluster }],
      users: [{ name: "u", user }],
      contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
      "current-context": "x",
    }),
  );
}

async function clientOf(path: string, clock: FakeClock): Promise<KubeClient> {
  const client = new KubeClient({ access: await loadClusterAccess({ kubeconfig: path, env: {}, clock }), clock });
  onTestFinished(() => client.close());
  return client;
}

const who = async (client: KubeClient): Promise<{ client: string; auth: string }> =>
  JSON.parse((await client.raw({ method: "GET", path: "/version" })).body.toString()) as {
    client: string;
    auth: string;
  };

describe("TLS to the API server", () => {
  test("refuses a certificate of another authority, and says surely that nothing was sent", async () => {
    const [ours, theirs] = await Promise.all([CertificateAuthority.create(), CertificateAuthority.create()]);
    const { port } = await server(await theirs.issueServer("api"));
    const ca = await temporaryFile("ca.crt", ours.pem);
    const path = await kubeconfig({ server: `https://127.0.0.1:${port}`, "certificate-authority": ca }, { token: "t" });
    const client = await clientOf(path, new FakeClock());
    const error = await client.raw({ method: "POST", path: "/x", body: "{}" }).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(TransportError);
    expect(error).toMatchObject({ sent: "no" });
  });

  test("recovers by itself when the authority was replaced, once the file says so", async () => {
    const [before, after] = await Promise.all([CertificateAuthority.create(), CertificateAuthority.create()]);
    const api = await server(await before.issueServer("api"));
    const ca = await temporaryFile("ca.crt", before.pem);
    const path = await kubeconfig(
      { server: `https://127.0.0.1:${api.port}`, "certificate-authority": ca },
      { token: "t" },
    );
    const clock = new FakeClock();
    const client = await clientOf(path, clock);
    expect((await who(client)).auth).toBe("Bearer t");
    api.use(await after.issueServer("api"));
    expect(await who(client).catch((error: unknown) => error)).toBeInstanceOf(TransportError);
    await writeFile(ca, after.pem);
    clock.advance(5_000);
    expect((await who(client)).auth).toBe("Bearer t");
  });

  test("shows a rotated client certificate within a minute, on new connections", async () => {
    const authority = await CertificateAuthority.create();
    const { port } = await server(await authority.issueServer("api"), authority.pem);
    const [first, second] = await Promise.all([authority.issueClient("first"), authority.issueClient("second")]);
    const [ca, cert, key] = await Promise.all([
      temporaryFile("ca.crt", authority.pem),
      temporaryFile("client.crt", first.cert),
      temporaryFile("client.key", first.key),
    ]);
    const path = await kubeconfig(
      { server: `https://127.0.0.1:${port}`, "certificate-authority": ca },
      { "client-certificate": cert, "client-key": key },
    );
    const clock = new FakeClock();
    const client = await clientOf(path, clock);
    expect((await who(client)).client).toBe("first");
    await writeFile(cert, second.cert);
    await writeFile(key, second.key);
    clock.advance(59_000);
    expect((await who(client)).client).toBe("first");
    clock.advance(1_000);
    expect((await who(client)).client).toBe("second");
  });

  test("goes through the proxy that the kubeconfig names", async () => {
    const authority = await CertificateAuthority.create();
    const { port } = await server(await authority.issueServer("api"));
    const tunnels: string[] = [];
    const sockets = new Set<Socket>();
    const proxy = http.createServer().on("connect", (request, socket: Socket) => {
      tunnels.push(request.url ?? "");
      const upstream = connect(port, "127.0.0.1", () => {
        socket.write("HTTP/1.1 200 OK\r\n\r\n");
        upstream.pipe(socket).pipe(upstream);
      });
      for (const each of [socket, upstream]) {
        sockets.add(each);
        each.on("error", () => undefined);
      }
    });
    proxy.listen(0, "127.0.0.1");
    await once(proxy, "listening");
    onTestFinished(async () => {
      for (const each of sockets) {
        each.destroy();
      }
      proxy.close();
      await once(proxy, "close");
    });
    const ca = await temporaryFile("ca.crt", authority.pem);
    const cluster = {
      server: `https://127.0.0.1:${port}`,
      "certificate-authority": ca,
      "proxy-url": `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    };
    const client = await clientOf(await kubeconfig(cluster, { token: "t" }), new FakeClock());
    expect((await who(client)).auth).toBe("Bearer t");
    expect(tunnels).toEqual([`127.0.0.1:${port}`]);
  });

  test("can be had from the fault proxy too, as a pod needs it", async () => {
    const authority = await CertificateAuthority.create();
    const { port } = await server(await authority.issueServer("api"));
    const proxy = await startHttpFaultProxy({
      upstream: `https://127.0.0.1:${port}`,
      ca: authority.pem,
      listen: { ...(await authority.issueServer("proxy")), ca: authority.pem },
    });
    onTestFinished(() => proxy.close());
    const path = await temporaryFile("kubeconfig", proxy.kubeconfig({ token: "through" }));
    const client = await clientOf(path, new FakeClock());
    expect((await who(client)).auth).toBe("Bearer through");
    expect(proxy.url).toMatch(/^https:/);
    expect(proxy.requests()).toHaveLength(1);
  });
});

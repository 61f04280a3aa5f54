import { execFile, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createSecureServer, type Server as SecureServer } from "node:https";
import { connect, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { CertificateAuthority } from "../../controlplane/certificates.ts";
import { findArchive, fetchArchive } from "../../controlplane/envtest.ts";

const PLATFORM = `${process.platform}-${process.arch === "x64" ? "amd64" : process.arch}`;
let root: string;
let archive: Buffer;
const servers: (Server | SecureServer)[] = [];

async function serve(handler: RequestListener): Promise<{ server: Server; url: string }> {
  const server = createServer(handler);
  return { server, url: `http://127.0.0.1:${await listen(server)}` };
}

/** Returns the port. */
async function listen(server: Server | SecureServer): Promise<number> {
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** A server with an index of these versions and one archive for all of them, like the real one. */
async function release(versions: string[], hash = sha512(archive)): Promise<{ url: string; asked: string[] }> {
  const asked: string[] = [];
  const { url } = await serve((request, response) => {
    asked.push(request.url ?? "");
    response.end(request.url === "/index.yaml" ? index : archive);
  });
  const entry = (version: string, platform: string): string =>
    `    envtest-${version}-${platform}.tar.gz:\n      hash: ${hash}\n      selfLink: ${url}/${version}.tar.gz\n`;
  const index = `releases:\n${versions.map((version) => `  ${version}:\n${entry(version, PLATFORM)}${entry(version, "plan9-mips")}`).join("")}`;
  return { url: `${url}/index.yaml`, asked };
}

const sha512 = (data: Buffer): string => createHash("sha512").update(data).digest("hex");

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "envtest-"));
  const tree = join(root, "tree/controller-tools/envtest");
  mkdirSync(tree, { recursive: true });
  for (const program of ["etcd", "kube-apiserver", "kubectl"]) {
    writeFileSync(join(tree, program), program, { mode: 0o755 });
  }
  spawnSync("tar", ["-czf", join(root, "archive.tar.gz"), "-C", join(root, "tree"), "controller-tools"]);
  archive = readFileSync(join(root, "archive.tar.gz"));
  mkdirSync(join(root, "out"));
  for (const name of ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "NO_PROXY", "no_proxy"]) {
    vi.stubEnv(name, undefined);
  }
});

afterEach(async () => {
  vi.unstubAllEnvs();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  }
  rmSync(root, { recursive: true, force: true });
});

describe("the index", () => {
  test("gives the newest patch version of the minor for this platform", async () => {
    const { url } = await release(["v1.36.2", "v1.36.10", "v1.36.9", "v1.37.0", "v1.36.11-rc.0"]);
    expect(await findArchive("1.36", url)).toMatchObject({ version: "1.36.10" });
  });

  test("without the wanted minor is an error that says so", async () => {
    const { url } = await release(["v1.35.0"]);
    await expect(findArchive("1.36", url)).rejects.toThrow(`lists no archive of Kubernetes 1.36 for ${PLATFORM}`);
  });

  test("of another form is refused", async () => {
    const { url } = await serve((_request, response) => void response.end("releases: [1, 2]"));
    await expect(findArchive("1.36", url)).rejects.toThrow(/releases/);
  });

  test("that cannot be reached is an error at once", async () => {
    const { server, url } = await serve(() => undefined);
    server.close();
    await once(server, "close");
    servers.pop();
    await expect(findArchive("1.36", url)).rejects.toThrow("fetch failed");
  });

  test("is asked for through HTTPS_PROXY, and trusted by NODE_EXTRA_CA_CERTS", async () => {
    const authority = await CertificateAuthority.create();
    authority.save(root);
    const { url: plain } = await release(["v1.36.2"]);
    const index = await (await fetch(plain)).text();
    const secure = await listen(
      createSecureServer(await authority.issueServer("index"), (_, response) => response.end(index)),
    );
    const proxy = createServer();
    const tunnels: string[] = [];
    proxy.on("connect", (request, socket) => {
      tunnels.push(request.url ?? "");
      const upstream = connect(secure, "127.0.0.1", () => {
        socket.write("HTTP/1.1 200 OK\r\n\r\n");
        socket.pipe(upstream).pipe(socket);
      });
      socket.on("error", () => upstream.destroy()).on("close", () => upstream.destroy());
      upstream.on("error", () => socket.destroy());
    });
    const proxyPort = await listen(proxy);
    const module = join(import.meta.dirname, "../../controlplane/envtest.ts");
    const program = `const { findArchive } = await import(${JSON.stringify(module)});
      console.log((await findArchive("1.36", "https://127.0.0.1:${secure}/index.yaml")).version);`;
    const asked = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", program], {
      env: { HTTPS_PROXY: `http://127.0.0.1:${proxyPort}`, NODE_EXTRA_CA_CERTS: join(root, "ca.crt") },
    });
    expect(asked.stdout.trim()).toBe("1.36.2");
    expect(tunnels).toEqual([`127.0.0.1:${secure}`]);
  });
});

describe("an archive", () => {
  test("is unpacked when its checksum is right", async () => {
    const found = await findArchive("1.36", (await release(["v1.36.2"])).url);
    await fetchArchive(found, join(root, "out"), () => undefined);
    expect(readdirSync(join(root, "out")).toSorted()).toEqual(["etcd", "kube-apiserver", "kubectl"]);
    expect(readFileSync(join(root, "out/kubectl"), "utf8")).toBe("kubectl");
  });

  test("with another checksum than the index says is refused, and nothing of it is unpacked", async () => {
    const found = await findArchive("1.36", (await release(["v1.36.2"], "0".repeat(128))).url);
    await expect(fetchArchive(found, join(root, "out"), () => undefined)).rejects.toThrow(
      /the index says 0{128}: refused/,
    );
    expect(readdirSync(join(root, "out"))).toEqual(["envtest.tar.gz"]);
  });

  test("that breaks off is refused", async () => {
    const { url } = await serve((_request, response) => {
      response.writeHead(200, { "content-length": archive.length });
      response.write(archive.subarray(0, 10));
      response.destroy();
    });
    const broken = { version: "1.36.2", url, hash: sha512(archive) };
    await expect(fetchArchive(broken, join(root, "out"), () => undefined)).rejects.toThrow();
  });

  test("without one of the programs is refused", async () => {
    rmSync(join(root, "tree/controller-tools/envtest/kubectl"));
    spawnSync("tar", ["-czf", join(root, "archive.tar.gz"), "-C", join(root, "tree"), "controller-tools"]);
    archive = readFileSync(join(root, "archive.tar.gz"));
    const found = await findArchive("1.36", (await release(["v1.36.2"])).url);
    await expect(fetchArchive(found, join(root, "out"), () => undefined)).rejects.toThrow("holds no kubectl");
  });
});

import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ClusterAccess } from "../../../src/kube/access.ts";
import { loadClusterAccess } from "../../../src/kube/config.ts";
import { FakeClock } from "../../support/fake-clock.ts";

let dir = "";
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "drayage-config-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const POD_ENV = { KUBERNETES_SERVICE_HOST: "10.0.0.1", KUBERNETES_SERVICE_PORT: "443" };
const SECRET = "sekrit-token-0815";

async function file(name: string, content: string): Promise<string> {
  const path = join(dir, name);
  await writeFile(path, content);
  return path;
}

function kubeconfig(parts: {
  clusters?: Record<string, object>;
  users?: Record<string, object>;
  contexts?: Record<string, object>;
  current?: string;
}): string {
  const list = (key: string, from: Record<string, object> = {}): object[] =>
    Object.entries(from).map(([name, value]) => ({ name, [key]: value }));
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: list("cluster", parts.clusters),
    users: list("user", parts.users),
    contexts: list("context", parts.contexts),
    ...(parts.current === undefined ? {} : { "current-context": parts.current }),
  });
}

const complete = {
  clusters: { c: { server: "https://api.example:6443/" } },
  users: { u: { token: SECRET } },
  contexts: { x: { cluster: "c", user: "u", namespace: "team" } },
  current: "x",
};

async function problem(promise: Promise<ClusterAccess>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    expect(error).toMatchObject({ name: "ClusterAccessError" });
    const text = inspect(error, { depth: 9 });
    expect(text).not.toContain(SECRET);
    return text;
  }
  throw new Error("it was accepted");
}

describe("in a pod", () => {
  async function account(token = "first"): Promise<string> {
    await file("token", `${token}\n`);
    await file("ca.crt", "CA 1");
    await file("namespace", "edge");
    return dir;
  }

  test("the service account's token, authority and namespace are used", async () => {
    const access = await loadClusterAccess({ env: { ...POD_ENV, HOME: dir }, serviceAccountRoot: await account() });
    expect(access.server).toBe("https://10.0.0.1:443");
    expect(access.namespace).toBe("edge");
    expect(access.tls).toEqual({ ca: "CA 1", rejectUnauthorized: true });
    expect(await access.authHeader()).toBe("Bearer first");
  });

  test("an IPv6 address of the server is put in brackets", async () => {
    const env = { ...POD_ENV, KUBERNETES_SERVICE_HOST: "fd00::1", HOME: dir };
    const access = await loadClusterAccess({ env, serviceAccountRoot: await account() });
    expect(access.server).toBe("https://[fd00::1]:443");
  });

  test("a rotated token is picked up within a minute, a rotated authority with it, and nothing is read in between", async () => {
    const clock = new FakeClock();
    const root = await account();
    const access = await loadClusterAccess({ env: { ...POD_ENV, HOME: dir }, serviceAccountRoot: root, clock });
    const before = access.tls;
    await file("token", "second");
    clock.advance(59_000);
    expect(await access.authHeader()).toBe("Bearer first");
    clock.advance(1_000);
    expect(await access.authHeader()).toBe("Bearer second");
    expect(access.tls).toBe(before);
    await file("ca.crt", "CA 2");
    clock.advance(60_000);
    await access.authHeader();
    expect(access.tls).toEqual({ ca: "CA 2", rejectUnauthorized: true });
  });

  test("a token that is away for a moment does no harm", async () => {
    const clock = new FakeClock();
    const root = await account();
    const access = await loadClusterAccess({ env: { ...POD_ENV, HOME: dir }, serviceAccountRoot: root, clock });
    await rm(join(root, "token"));
    clock.advance(60_000);
    expect(await access.authHeader()).toBe("Bearer first");
  });

  test("a refused token leads to one reading, and to no more than one each 5 s", async () => {
    const clock = new FakeClock();
    const root = await account();
    const access = await loadClusterAccess({ env: { ...POD_ENV, HOME: dir }, serviceAccountRoot: root, clock });
    await file("token", "second");
    expect(await Promise.all([access.refresh(), access.refresh()])).toEqual([true, true]);
    await file("token", "third");
    expect(await access.refresh()).toBe(false);
    clock.advance(5_000);
    expect(await access.refresh()).toBe(true);
    expect(await access.authHeader()).toBe("Bearer third");
  });

  test("a missing part is named with its path", async () => {
    const root = await account();
    await rm(join(root, "ca.crt"));
    const text = await problem(loadClusterAccess({ env: { ...POD_ENV, HOME: dir }, serviceAccountRoot: root }));
    expect(text).toContain(`authority ${join(root, "ca.crt")}: the file does not exist`);
  });

  test("a context cannot be chosen", async () => {
    const text = await problem(
      loadClusterAccess({ env: { ...POD_ENV, HOME: dir }, serviceAccountRoot: await account(), context: "x" }),
    );
    expect(text).toContain('context "x" was asked for, but only in-cluster credentials were found');
  });
});

describe("a kubeconfig", () => {
  test("gives server, namespace and token", async () => {
    const path = await file("config", kubeconfig(complete));
    const access = await loadClusterAccess({ kubeconfig: path, env: {} });
    expect(access).toMatchObject({ server: "https://api.example:6443", namespace: "team" });
    expect(await access.authHeader()).toBe(`Bearer ${SECRET}`);
    expect(access.source).toBe(`kubeconfig ${path}, context x`);
  });

  test("wins over the pod's own credentials, and the option wins over KUBECONFIG", async () => {
    const one = await file("one", kubeconfig(complete));
    const two = await file("two", kubeconfig({ ...complete, clusters: { c: { server: "https://two" } } }));
    const env = { ...POD_ENV, KUBECONFIG: two };
    expect((await loadClusterAccess({ env })).server).toBe("https://two");
    expect((await loadClusterAccess({ env, kubeconfig: one })).server).toBe("https://api.example:6443");
  });

  test("in several files: the first definition of a name wins, and a missing file is passed over", async () => {
    const one = await file("one", kubeconfig({ users: { u: { token: "one" } }, current: "x" }));
    const two = await file("two", kubeconfig({ ...complete, users: { u: { token: "two" } }, current: "other" }));
    const access = await loadClusterAccess({ env: { KUBECONFIG: `${one}:${join(dir, "absent")}:${two}` } });
    expect(await access.authHeader()).toBe("Bearer one");
    expect(access.server).toBe("https://api.example:6443");
  });

  test("keeps a path in the server's address, as proxies of several clusters have", async () => {
    const path = await file(
      "config",
      kubeconfig({ ...complete, clusters: { c: { server: "https://host/k8s/clusters/c-1/" } } }),
    );
    expect((await loadClusterAccess({ kubeconfig: path, env: {} })).server).toBe("https://host/k8s/clusters/c-1");
  });

  test("carries certificates, the name to verify, and the wish not to", async () => {
    const cluster = {
      server: "https://h",
      "certificate-authority": await file("ca.pem", "CA"),
      "tls-server-name": "other",
      "insecure-skip-tls-verify": false,
    };
    const user = {
      "client-certificate-data": Buffer.from("CERT").toString("base64"),
      "client-key": await file("key.pem", "KEY"),
    };
    const path = await file("config", kubeconfig({ ...complete, clusters: { c: cluster }, users: { u: user } }));
    const access = await loadClusterAccess({ kubeconfig: path, env: {} });
    expect(access.tls).toEqual({ ca: "CA", cert: "CERT", key: "KEY", servername: "other", rejectUnauthorized: true });
    expect(await access.authHeader()).toBeUndefined();
  });

  test("with an exec plugin runs it, again after a refusal, and not for each request", async () => {
    const script = await file(
      "plugin.sh",
      `#!/bin/sh
echo run >> ${join(dir, "runs")}
printf '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{"token":"t%s"}}' $(wc -l < ${join(dir, "runs")})
`,
    );
    await chmod(script, 0o755);
    const exec = { apiVersion: "client.authentication.k8s.io/v1", command: script, interactiveMode: "Never" };
    const path = await file("config", kubeconfig({ ...complete, users: { u: { exec } } }));
    const clock = new FakeClock();
    const access = await loadClusterAccess({ kubeconfig: path, env: {}, clock });
    expect(await access.authHeader()).toBe("Bearer t1");
    clock.advance(120_000);
    expect(await access.authHeader()).toBe("Bearer t1");
    expect(await access.refresh()).toBe(true);
    expect(await access.authHeader()).toBe("Bearer t2");
  });

  test.each<[string, string, string]>([
    ["is no YAML", `token: ${SECRET}\n  bad: [`, "is not valid: "],
    ["is no kubeconfig", "just text", "has no current-context"],
    ["has no current context", kubeconfig({ ...complete, current: "" }), "has no current-context; set one with"],
    ["lacks the context", kubeconfig({ ...complete, current: "y" }), 'has no context "y"; it has: x'],
    ["lacks the cluster", kubeconfig({ ...complete, clusters: {} }), 'names cluster "c", which is not there'],
    ["lacks the user", kubeconfig({ ...complete, users: {} }), 'names user "u", which is not there'],
    [
      "has no address",
      kubeconfig({ ...complete, clusters: { c: { server: "nonsense" } } }),
      'cluster "c" has no valid server address',
    ],
    [
      "impersonates",
      kubeconfig({ ...complete, users: { u: { token: SECRET, as: "root" } } }),
      'user "u" impersonates another ("as"), which is not supported',
    ],
    [
      "names an absent plugin",
      kubeconfig({
        ...complete,
        users: { u: { exec: { apiVersion: "client.authentication.k8s.io/v1", command: "/no/such/plugin" } } },
      }),
      "the exec plugin /no/such/plugin was not found",
    ],
    [
      "has a plugin that prints no JSON",
      kubeconfig({
        ...complete,
        users: {
          u: { exec: { apiVersion: "client.authentication.k8s.io/v1", command: "/bin/echo", args: [`x${SECRET}`] } },
        },
      }),
      "printed something that is not JSON",
    ],
  ])("that %s is refused with the reason, and without quoting secrets", async (_what, content, reason) => {
    const path = await file("config", content);
    const text = await problem(loadClusterAccess({ kubeconfig: path, env: {} }));
    expect(text).toContain(reason);
    expect(text).toContain(path);
  });

  test("that is not there is named", async () => {
    const path = join(dir, "absent");
    expect(await problem(loadClusterAccess({ kubeconfig: path, env: {} }))).toContain(
      `cannot read kubeconfig ${path}: the file does not exist`,
    );
  });
});

test("without any credentials the message says what was looked for", async () => {
  const text = await problem(loadClusterAccess({ env: { HOME: dir } }));
  expect(text).toContain("--kubeconfig and KUBECONFIG are not set");
  expect(text).toContain(join(dir, ".kube", "config"));
});

import { randomUUID } from "node:crypto";
import { describe, expect, inject, test } from "vitest";
import { attach } from "../../controlplane/access.ts";
import { DrayageProcess, runArgs } from "./drayage-process.ts";

const facts = inject("controlPlane");

interface LeaseSpec {
  holderIdentity?: string;
  leaseTransitions?: number;
}

/** A namespace for the Lease of one test. */
async function setUp() {
  const api = await attach(facts);
  const namespace = `run-${randomUUID().slice(0, 8)}`;
  await api.request("POST", "/api/v1/namespaces", { body: { metadata: { name: namespace } } });
  const path = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/drayage`;
  const lease = async (): Promise<LeaseSpec> => {
    const { body } = await api.request("GET", path);
    return (body as { spec?: LeaseSpec }).spec ?? {};
  };
  // Its own namespace only: other tests of the run have objects of theirs on the same API server.
  const args = (...more: string[]): string[] =>
    runArgs(facts.kubeconfig, `--namespace=${namespace}`, `--lease-namespace=${namespace}`, "--owner-id=test", ...more);
  return { api, namespace, path, lease, args };
}

const MASTER = 'leader_election_master_status{name="drayage"}';

describe("drayage run against a real API server", () => {
  test("takes the Lease, serves probes and metrics, and on SIGTERM releases it and exits with 0", async () => {
    const { lease, args } = await setUp();
    await using drayage = new DrayageProcess(args());
    const { identity } = await drayage.log("leading");
    expect((await drayage.readiness(200)).split("\n")).toEqual([
      "[+]manager ok",
      "[+]lease ok",
      "[+]cache-edgebackends.edge.drayage.dev ok",
      "[+]cache-edgedevices.edge.drayage.dev ok",
      "[+]cache-edgecontainers.edge.drayage.dev ok",
      "[+]cache-edgeregistries.edge.drayage.dev ok",
      "[+]cache-edgestacks.edge.drayage.dev ok",
      "check passed",
      "",
    ]);
    const probes = await drayage.url("probes");
    expect(await (await fetch(`${probes}/healthz`)).text()).toBe("ok\n");
    expect(await drayage.metric(MASTER)).toBe(1);
    expect(await drayage.metric(`drayage_build_info{version="0.1.0",node="${process.versions.node}"}`)).toBe(1);
    expect(await drayage.metric("process_resident_memory_bytes")).toBeGreaterThan(1e6);
    const host = new URL(facts.server).host;
    // The Lease, and the Secret with the key of the hashes.
    expect(await drayage.metric(`rest_client_requests_total{code="201",method="POST",host="${host}"}`)).toBe(2);
    expect(await drayage.metric('drayage_cache_synced{resource="edgecontainers.edge.drayage.dev"}')).toBe(1);
    expect((await lease()).holderIdentity).toBe(identity);

    drayage.kill("SIGTERM");
    expect(await drayage.exit).toBe(0);
    expect((await lease()).holderIdentity ?? "").toBe("");
    expect(drayage.stderr).toBe("");
    expect(drayage.logs.filter(({ level }) => level === "error" || level === "warn")).toEqual([]);
    expect(drayage.logs.at(-1)?.msg).toBe("stopped");
  });

  test("SIGINT is the same; options by environment are the same as by command line", async () => {
    const { namespace, lease } = await setUp();
    await using drayage = new DrayageProcess(["run"], {
      DRAYAGE_KUBECONFIG: facts.kubeconfig,
      DRAYAGE_NAMESPACE: namespace,
      DRAYAGE_LEASE_NAMESPACE: namespace,
      DRAYAGE_HEALTH_ADDRESS: "off",
      DRAYAGE_METRICS_ADDRESS: "off",
    });
    await drayage.log("leading");
    expect(drayage.stdout).not.toContain("serving");
    drayage.kill("SIGINT");
    expect(await drayage.exit).toBe(0);
    expect((await lease()).holderIdentity ?? "").toBe("");
  });

  test("the default owner id is the uid of kube-system", async () => {
    const { api, namespace } = await setUp();
    const { body } = await api.request("GET", "/api/v1/namespaces/kube-system");
    const scope = [`--namespace=${namespace}`, `--lease-namespace=${namespace}`];
    await using drayage = new DrayageProcess(runArgs(facts.kubeconfig, ...scope));
    expect(await drayage.log("owner id")).toMatchObject({
      ownerId: (body as { metadata: { uid: string } }).metadata.uid,
      ownerIdIsExplicit: false,
    });
  });

  test("who may not read kube-system is told to give --owner-id, exit 1", async () => {
    const { api, namespace } = await setUp();
    const kubeconfig = await api.user(`nobody-${namespace}`);
    await using drayage = new DrayageProcess(runArgs(kubeconfig, `--lease-namespace=${namespace}`));
    expect(await drayage.exit).toBe(1);
    expect(drayage.stderr).toMatch(/^drayage: cannot read the namespace kube-system, [^\n]*--owner-id[^\n]*\n$/);
  });

  test("a missing right is waited for, and named in /readyz", async () => {
    const { api, namespace } = await setUp();
    const kubeconfig = await api.user(`partial-${namespace}`, {
      namespace,
      rules: [{ apiGroups: [""], resources: ["secrets"], verbs: ["get", "create"] }],
    });
    await using drayage = new DrayageProcess(runArgs(kubeconfig, "--owner-id=test"));
    await drayage.log("watching failed");
    await drayage.readiness(503, /\[-\]cache-edgecontainers\S+ failed: not filled yet: .*403 Forbidden/);
    expect(drayage.hasEnded).toBe(false);
    drayage.kill("SIGTERM");
    expect(await drayage.exit).toBe(0);
  });

  test("without leader election it leads at once and touches no Lease", async () => {
    const { api, path, args } = await setUp();
    await using drayage = new DrayageProcess(args("--leader-elect=false"));
    await drayage.log("leading");
    expect(await drayage.metric(MASTER)).toBe(1);
    drayage.kill("SIGTERM");
    expect(await drayage.exit).toBe(0);
    expect((await api.request("GET", path)).status).toBe(404);
  });
});

describe("two replicas", () => {
  test("the second stands by, ready, and takes over as soon as the first releases the Lease", async () => {
    const { lease, args } = await setUp();
    // So long that only a release, never an expiry, can explain the takeover.
    const patient = args("--lease-duration=1h", "--renew-deadline=30m");
    await using first = new DrayageProcess(patient);
    await first.log("leading");
    await using second = new DrayageProcess(patient);
    await second.log("the lease is held");
    await second.readiness(200);
    expect(await second.metric(MASTER)).toBe(0);

    first.kill("SIGTERM");
    expect(await first.exit).toBe(0);
    const { identity } = await second.log("leading");
    expect(await second.metric(MASTER)).toBe(1);
    expect((await lease()).holderIdentity).toBe(identity);
  });

  test("the second takes over when the first was killed and its Lease has expired", async () => {
    const { args } = await setUp();
    const quick = args("--lease-duration=2s", "--renew-deadline=1s", "--retry-period=200ms");
    await using first = new DrayageProcess(quick);
    await first.log("leading");
    await using second = new DrayageProcess(quick);
    await second.log("the lease is held");
    first.kill("SIGKILL");
    expect(await first.exit).toBe(137);
    await second.log("leading");
  });

  test("one whose Lease was taken away exits with 1 and says so in one line", async () => {
    const { api, path, args } = await setUp();
    await using drayage = new DrayageProcess(args("--retry-period=200ms"));
    await drayage.log("leading");
    await api.request("PATCH", path, {
      body: { spec: { holderIdentity: "thief" } },
      contentType: "application/merge-patch+json",
    });
    expect(await drayage.exit).toBe(1);
    expect(drayage.stderr).toMatch(/^drayage: the lease was lost: [^\n]+\n$/);
    expect(await api.request("GET", path)).toMatchObject({ body: { spec: { holderIdentity: "thief" } } });
  });
});

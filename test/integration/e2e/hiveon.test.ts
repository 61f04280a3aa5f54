import { readFileSync, writeFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { applyCrds } from "../../controlplane/manifests.ts";
import { startControlPlane } from "../../controlplane/index.ts";
import type { EdgeContainerSpec } from "../../../src/crds/edge-container.ts";
import { mostAtOnce, rentalsOf, rentalSpec, startVendor, type Vendor } from "../../support/hiveon-world.ts";
import { conditionOf, World } from "../../support/world.ts";

let world: World;
let vendor: Vendor;
beforeEach(async () => {
  world = await World.create({ kubeconfig: inject("controlPlane").kubeconfig });
  vendor = await startVendor(world, ["rig-1", "rig-2"]);
});
afterEach(async () => {
  await world[Symbol.asyncDispose]();
  await vendor[Symbol.asyncDispose]();
});

const rent = (name: string, spec: Partial<EdgeContainerSpec> = {}) =>
  world.create("edgecontainers", name, rentalSpec("rig-1", spec));
const books = (name: string) => rentalsOf(vendor.simulator, name);
const rented = (name: string) => books(name).filter((each) => each.rented);
const reRent = (value: string) => ({ backendOptions: { hiveon: { reRent: value } } }) as Partial<EdgeContainerSpec>;

async function eventsOf(reason: string): Promise<{ reason: string }[]> {
  const { body } = await world.admin.get<{ items: { reason: string }[] }>(
    `/apis/events.k8s.io/v1/namespaces/${world.namespace}/events`,
  );
  return body.items.filter((each) => each.reason === reason);
}

/** The money rules, whatever happened before. */
function expectOnce(name: string, count: number): void {
  expect(mostAtOnce(books(name))).toBeLessThanOrEqual(1);
  expect(books(name)).toHaveLength(count);
}

describe("a rental", () => {
  test("begins with every field, is Ready, says since when it costs, and costs nothing once the object is gone", async () => {
    world.operator();
    await world.admin.create(`/api/v1/namespaces/${world.namespace}/secrets`, {
      apiVersion: "v1",
      kind: "Secret",
      type: "kubernetes.io/dockerconfigjson",
      metadata: { name: "pull" },
      stringData: {
        ".dockerconfigjson": JSON.stringify({ auths: { "registry.example": { auth: btoa("user:hunter22") } } }),
      },
    });
    await world.admin.create(`/api/v1/namespaces/${world.namespace}/secrets`, {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "values" },
      stringData: { token: "t0ken-value", script: "echo s3cret-script" },
    });
    await rent("web", {
      env: [
        { name: "PLAIN", value: "1" },
        { name: "TOKEN", valueFrom: { secretKeyRef: { name: "values", key: "token" } } },
      ],
      ports: [{ containerPort: 443, hostPort: 443, protocol: "HTTPS" }],
      startupScript: { secretKeyRef: { name: "values", key: "script" } },
      sshPublicKeys: ["ssh-ed25519 AAAA"],
      imagePullSecrets: [{ name: "pull" }],
      backendOptions: { hiveon: { metadata: { team: "blue" } } },
    });
    const object = await world.condition("web", "Ready", "True", "Running");
    expect(conditionOf(object, "LeaseActive")).toMatchObject({ status: "True", reason: "Rented" });
    expect(object.status?.rentedSince).toBeTruthy();
    expect(object.status?.external).toMatchObject({ attempt: 1, id: books("web")[0]?.deploymentId });
    expect(books("web")[0]?.request).toMatchObject({
      machine_id: "rig-1",
      machine_price_id: "rig-1-price",
      ssh_pub_keys: ["ssh-ed25519 AAAA"],
      container_config: {
        image: "registry.example/app:1",
        docker_auth: { server: "registry.example", login: "user", password: "hunter22" },
        ports: [{ host_port: 443, protocol: "PORT_PROTOCOL_HTTPS" }],
        startup_script: "echo s3cret-script",
        environment_variables: { PLAIN: "1", TOKEN: "t0ken-value" },
      },
      metadata: { team: "blue", drayage_name: "web" },
    });
    expect(JSON.stringify(object)).not.toMatch(/hunter22|t0ken-value|s3cret-script/);
    await world.delete("edgecontainers", "web");
    await world.gone("edgecontainers", "web");
    expect(rented("web")).toEqual([]);
    expectOnce("web", 1);
    const cost = vendor.simulator.platform.cost();
    await world.until(() => vendor.simulator.requests().length > 0, "time to pass");
    expect(vendor.simulator.platform.cost()).toBe(cost);
  });

  test("is not begun for a spec that the vendor cannot honour, and the message says what to write", async () => {
    world.operator();
    await rent("web", {
      volumes: [{ hostPath: "/data", mountPath: "/data" }],
      ports: [{ containerPort: 80, hostPort: 8080 }],
    });
    const object = await world.condition("web", "Stalled", "True", "UnsupportedField");
    expect(conditionOf(object, "Stalled")?.message).toMatch(/volumes.*containerPort: 8080/);
    expect(vendor.simulator.requests().filter(({ kind }) => kind === "start")).toEqual([]);
  });

  test("is begun again for a changed spec only where reRent says so, after the former one has stopped", async () => {
    world.operator();
    await rent("web");
    await world.condition("web", "Ready", "True");
    await world.patch("edgecontainers", "web", { spec: { image: "registry.example/app:2" } });
    const refused = await world.condition("web", "Stalled", "True", "RecreateNotAllowed");
    expect(conditionOf(refused, "Stalled")?.message).toContain(
      "spec.backendOptions.hiveon.reRent: OnSpecChange or Always",
    );
    expectOnce("web", 1);
    expect(rented("web")).toHaveLength(1);
    await world.patch("edgecontainers", "web", { spec: reRent("OnSpecChange") });
    const object = await world.condition("web", "Ready", "True", "Running");
    expect(object.status?.external?.attempt).toBe(2);
    expect(rented("web")).toMatchObject([{ image: "registry.example/app:2" }]);
    expectOnce("web", 2);
  });

  test("ends with desiredState Stopped, and Running again needs reRent", async () => {
    world.operator();
    await rent("web");
    await world.condition("web", "Ready", "True", "Running");
    await world.patch("edgecontainers", "web", { spec: { desiredState: "Stopped" } });
    const stopped = await world.condition("web", "Ready", "True", "Stopped");
    expect(rented("web")).toEqual([]);
    expect(stopped.status?.rentedSince).toBeUndefined();
    expect(conditionOf(stopped, "LeaseActive")).toMatchObject({ status: "False", reason: "Released" });
    await world.patch("edgecontainers", "web", { spec: { desiredState: "Running" } });
    await world.condition("web", "Stalled", "True", "RecreateNotAllowed");
    expect(rented("web")).toEqual([]);
    await world.patch("edgecontainers", "web", { spec: reRent("OnSpecChange") });
    await world.condition("web", "Ready", "True", "Running");
    await world.patch("edgecontainers", "web", {
      metadata: { annotations: { "edge.drayage.dev/restartedAt": "now" } },
    });
    await world.until(() => books("web").length === 3, "the restart");
    await world.condition("web", "Ready", "True", "Running");
    expectOnce("web", 3);
  });

  test("that failed stays as it is under Never, and is stopped before another one under OnFailure", async () => {
    world.operator();
    vendor.simulator.platform.failImage("registry.example/app:1", { code: 7, message: "no such image" });
    await rent("web");
    const object = await world.condition("web", "Stalled", "True", "RecreateNotAllowed");
    expect(conditionOf(object, "Stalled")?.message).toMatch(/no such image.*OnFailure or Always/);
    expectOnce("web", 1);
    await world.patch("edgecontainers", "web", { spec: reRent("OnFailure") });
    await world.until(() => books("web").length >= 2, "another try");
    vendor.simulator.platform.failImage("registry.example/app:1", undefined);
    await world.condition("web", "Ready", "True", "Running");
    expect(mostAtOnce(books("web"))).toBe(1);
    expect(
      books("web")
        .filter((each) => !each.rented)
        .every((each) => each.stops > 0),
    ).toBe(true);
  });

  test("whose stop fails keeps its object, its device and its backend until it has stopped, and says so", async () => {
    world.operator();
    await rent("web");
    await world.condition("web", "Ready", "True");
    vendor.simulator.platform.failStops(3);
    for (const [plural, name] of [
      ["edgebackends", "hiveon"],
      ["edgedevices", "rig-1"],
      ["edgecontainers", "web"],
    ] as const)
      await world.delete(plural, name);
    await world.until(() => (books("web")[0]?.stops ?? 0) >= 2, "two stops");
    expect(rented("web")).toHaveLength(1);
    expect(await world.getContainer("web")).toBeDefined();
    expect(await world.getBackend("hiveon")).toBeDefined();
    await world.gone("edgecontainers", "web");
    expect(rented("web")).toEqual([]);
    await world.gone("edgedevices", "rig-1");
    await world.gone("edgebackends", "hiveon");
    expectOnce("web", 1);
  });
});

describe("a lost answer to a start", () => {
  test.each([
    ["reset before the effect", { do: "reset", when: "before" }],
    ["reset after the effect", { do: "reset", when: "after" }],
    ["never answered", { do: "swallow" }],
    ["500 after the effect", undefined],
  ] as const)("%s: one rental", async (_what, fault) => {
    if (fault === undefined)
      vendor.simulator.fault({ match: "start", effect: { kind: "answer", when: "after", status: 500 } });
    else vendor.proxy.on({ match: { method: "POST", path: "/start" }, fault });
    vendor.simulator.quirks.visibleAfterMs = 200;
    world.operator("--settle-time=2s");
    await rent("web");
    await world.condition("web", "Ready", "True", "Running");
    expectOnce("web", 1);
  });
});

describe("credentials", () => {
  test("that are refused close the account with one probe, not one per object, and rotate without a restart", async () => {
    world.operator();
    for (let i = 0; i < 5; i++) await rent(`web-${i}`);
    for (let i = 0; i < 5; i++) await world.condition(`web-${i}`, "Ready", "True");
    vendor.simulator.setApiKey("another-key");
    await world.until(async () => {
      const backend = await world.getBackend("hiveon");
      return conditionOf(backend, "Ready")?.reason === "Unauthorized";
    }, "the refusal");
    const refused = () => vendor.simulator.requests().filter(({ status }) => status === 401);
    const before = refused().length;
    await world.until(() => refused().length >= before + 3, "some probes");
    // What was under way when the first was refused was refused, too; from then on only one question is asked.
    expect(
      new Set(
        refused()
          .slice(before)
          .map(({ path }) => path),
      ).size,
    ).toBe(1);
    await world.admin.patch(`/api/v1/namespaces/${world.namespace}/secrets/hiveon`, {
      stringData: { apiKey: "another-key" },
    });
    await world.until(
      async () => conditionOf(await world.getBackend("hiveon"), "Ready")?.status === "True",
      "the new key",
    );
    for (let i = 0; i < 5; i++) {
      await world.condition(`web-${i}`, "Ready", "True");
      expectOnce(`web-${i}`, 1);
    }
  });
});

describe("a key that is rotated", () => {
  test("goes on with the start that the former one was refused for, and keeps nobody waiting for a word of a person", async () => {
    world.operator();
    const hold = vendor.proxy.on({ match: { method: "POST" }, fault: { do: "hold" } });
    await rent("web");
    await world.until(() => hold.hits > 0, "the start");
    // It reaches the vendor when the key is no longer good.
    vendor.simulator.setApiKey("rotated-key");
    hold.release();
    await world.until(
      async () => conditionOf(await world.getBackend("hiveon"), "Ready")?.reason === "Unauthorized",
      "the refusal",
    );
    expect((await world.getContainer("web"))?.status?.operation?.account).toBeDefined();
    await world.admin.patch(`/api/v1/namespaces/${world.namespace}/secrets/hiveon`, {
      stringData: { apiKey: "rotated-key" },
    });
    await world.condition("web", "Ready", "True", "Running");
    expect(await eventsOf("LookupFailed")).toEqual([]);
    expectOnce("web", 1);
  });
});

describe("the key of another account", () => {
  const rotate = (key: string) =>
    world.admin.patch(`/api/v1/namespaces/${world.namespace}/secrets/hiveon`, { stringData: { apiKey: key } });
  const readyOf = async (name: string) => conditionOf(await world.getContainer(name), "Ready");

  test("ends nothing and begins nothing: what is rented is said to be in doubt, also by another process, until the right key is back", async () => {
    const first = world.operator("--leader-elect=false");
    for (const name of ["web", "kept"]) await rent(name, reRent("Always"));
    for (const name of ["web", "kept"]) await world.condition(name, "Ready", "True");
    const before = (await world.getContainer("web"))?.status;
    expect(before?.external?.account).toMatch(/^[0-9a-f]{8}:[0-9a-f]{32}$/);
    vendor.simulator.setApiKey("their-key", "another");
    await rotate("their-key");
    const inDoubt = async (name: string) => (await readyOf(name))?.message.includes("same account") === true;
    await world.until(async () => (await inDoubt("web")) && (await inDoubt("kept")), "the doubt");
    first.kill("SIGKILL");
    await first.exit;
    world.operator("--leader-elect=false");
    await world.delete("edgecontainers", "kept");
    await world.until(async () => {
      const { message = "" } = conditionOf(await world.getContainer("kept"), "Ready") ?? {};
      return message.includes("same account") && message.includes("force-orphan");
    }, "a deletion that waits");
    expect(await readyOf("web")).toMatchObject({ status: "Unknown" });
    const object = await world.getContainer("web");
    expect(conditionOf(object, "LeaseActive")).toMatchObject({ status: "True" });
    expect(object?.status).toMatchObject({ rentedSince: before?.rentedSince, external: before?.external });
    await world.until(async () => (await eventsOf("LookupFailed")).length > 0, "the event");
    expect(vendor.simulator.rentals()).toHaveLength(2);
    vendor.simulator.setApiKey("rotated-key", "first");
    await rotate("rotated-key");
    await world.condition("web", "Ready", "True", "Running");
    await world.gone("edgecontainers", "kept");
    expect(rented("web")).toHaveLength(1);
    expect(rented("kept")).toEqual([]);
    expect(vendor.simulator.rentals()).toHaveLength(2);
    const { account } = (await world.getContainer("web"))?.status?.external ?? {};
    expect(account).not.toBe(before?.external?.account);
  });
});

describe("kill -9 of the operator", () => {
  test.each(["before", "after"] as const)(
    "%s each request that changes something: one rental, and none after the deletion",
    async (when) => {
      const done = async (name: string, holds: () => Promise<boolean>): Promise<void> => {
        // Each write of a start and of a stop, and the journal's writes around them.
        const operator = world.operator("--leader-elect=false");
        const rule = vendor.proxy.on({
          match: { method: "POST" },
          fault: when === "before" ? { do: "hold" } : { do: "swallow" },
        });
        if (name === "delete") await world.delete("edgecontainers", "web");
        else await rent("web");
        await world.until(() => rule.hits > 0, `the request of ${name}`);
        if (when === "after")
          await world.until(
            () => vendor.simulator.requests().some((seen) => seen.kind === (name === "delete" ? "stop" : "start")),
            "its effect",
          );
        operator.kill("SIGKILL");
        await operator.exit;
        rule.remove();
        const next = world.operator("--leader-elect=false");
        await world.until(holds, `the end of ${name}`);
        next.kill("SIGKILL");
        await next.exit;
      };
      await done("create", async () => conditionOf(await world.getContainer("web"), "Ready")?.status === "True");
      expectOnce("web", 1);
      expect(rented("web")).toHaveLength(1);
      await done("delete", async () => (await world.getContainer("web")) === undefined);
      expectOnce("web", 1);
      expect(rented("web")).toEqual([]);
    },
  );
});

test("without an explicit --owner-id nothing is rented, and the object says why", async () => {
  world.operator("--no-owner-id");
  await rent("web");
  await world.until(async () => {
    const accepted = conditionOf(await world.getContainer("web"), "Accepted");
    return accepted?.status === "False" && accepted.message.includes("--owner-id");
  }, "the reason");
  expect(vendor.simulator.requests().filter(({ kind }) => kind === "start")).toEqual([]);
});

test("once there is an --owner-id the object says what is waited for, before the settle time is over", async () => {
  const first = world.operator("--no-owner-id", "--leader-elect=false");
  await rent("web");
  const accepted = async () => conditionOf(await world.getContainer("web"), "Accepted");
  await world.until(async () => (await accepted())?.message.includes("--owner-id") === true, "the reason");
  first.kill("SIGTERM");
  await first.exit;
  world.operator("--leader-elect=false", "--settle-time=10m");
  await world.until(async () => (await accepted())?.status === "True", "the acceptance");
  expect(conditionOf(await world.getContainer("web"), "Ready")).toMatchObject({
    status: "False",
    message: expect.stringContaining("looking up") as string,
  });
  expect(books("web")).toEqual([]);
});

test("--read-only looks and rents nothing", async () => {
  world.operator("--read-only");
  await rent("web");
  await world.condition("web", "Suspended", "True");
  await world.until(
    async () => conditionOf(await world.getBackend("hiveon"), "Ready")?.status === "True",
    "the account",
  );
  expect(vendor.simulator.requests().filter(({ method }) => method !== "GET")).toEqual([]);
});

test(
  "an emptied etcd and the same apply finds the rental again and begins no second one",
  { timeout: 300_000 },
  async () => {
    await using plane = await startControlPlane({ controllerManager: false });
    const manifests = join(import.meta.dirname, "../../../manifests/crds");
    await applyCrds(plane, manifests);
    const directory = mkdtempSync(join(tmpdir(), "drayage-etcd-"));
    const copy = join(directory, "kubeconfig");
    writeFileSync(copy, readFileSync(plane.kubeconfig));
    const old = await World.create({ kubeconfig: copy });
    await using platform = await startVendor(old, ["rig-9"]);
    try {
      const first = old.operator("--leader-elect=false");
      await old.create("edgecontainers", "web", rentalSpec("rig-9"));
      const before = await old.condition("web", "Ready", "True");
      first.kill("SIGKILL");
      await first.exit;
      await plane.restartEtcd({ empty: true });
      await applyCrds(plane, manifests);
      await old.admin.create("/api/v1/namespaces", { metadata: { name: old.namespace } });
      await platform.apply();
      old.operator("--leader-elect=false");
      await old.create("edgecontainers", "web", rentalSpec("rig-9"));
      const object = await old.condition("web", "Ready", "True", "Running");
      expect(object.status?.external).toMatchObject({ id: before.status?.external?.id, attempt: 1 });
      expect(rentalsOf(platform.simulator, "web")).toHaveLength(1);
    } finally {
      await old[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true, force: true });
    }
  },
);

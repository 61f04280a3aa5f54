import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import type { EdgeContainerTemplate } from "../../../src/crds/edge-container.ts";
import type { EdgeStack, StackContainer } from "../../../src/crds/edge-stack.ts";
import { startAlponVendor } from "../../support/alpon-world.ts";
import { startVendor } from "../../support/hiveon-world.ts";
import { conditionOf, everCreated, existing, World, type Site } from "../../support/world.ts";

let world: World;
beforeEach(async () => {
  world = await World.create({ kubeconfig: inject("controlPlane").kubeconfig });
});
afterEach(async () => world[Symbol.asyncDispose]());

/** A container of a stack, quick to be Ready. */
function member(
  name: string,
  template: Partial<EdgeContainerTemplate> = {},
  dependsOn?: StackContainer["dependsOn"],
): StackContainer {
  return {
    name,
    ...(dependsOn !== undefined && { dependsOn }),
    template: {
      image: "registry.example/sleeper:1",
      updateStrategy: { minReadySeconds: 0 },
      backoff: { initialSeconds: 1, maxSeconds: 2 },
      ...template,
    },
  };
}

const names = (site: Site) =>
  existing(site)
    .map(({ name }) => name)
    .toSorted();

const CHAIN = [
  member("web", {}, [{ name: "api", condition: "Ready" }]),
  member("api", {}, [{ name: "db", condition: "Running" }]),
  member("db"),
];

describe("an EdgeStack on Kanto", () => {
  test("makes its containers in the order of dependsOn, sums them up, and removes them in reverse", async () => {
    const site = await world.site("press");
    world.operator();
    await world.stack("shop", { deviceRef: { name: "press" }, containers: CHAIN });
    const stack = await world.stackCondition("shop", "Ready", "True", "AllReady");
    expect(stack.status).toMatchObject({ phase: "Ready", ready: "3/3", observedGeneration: stack.metadata.generation });
    expect(stack.status?.children?.map(({ name, object, ready }) => [name, object, ready])).toEqual([
      ["web", "shop-web", "True"],
      ["api", "shop-api", "True"],
      ["db", "shop-db", "True"],
    ]);
    expect(conditionOf(stack, "Reconciling")).toBeUndefined();
    expect(conditionOf(stack, "Stalled")).toBeUndefined();
    expect(stack.metadata.finalizers).toEqual(["edge.drayage.dev/finalizer"]);
    // What a GitOps tool compares is as it was written.
    expect(stack.spec).toEqual({ deviceRef: { name: "press" }, containers: CHAIN });
    expect(site.device.everCreated().map(({ name }) => name)).toEqual(["shop-db", "shop-api", "shop-web"]);
    const child = await world.getContainer("shop-db");
    expect(child?.metadata).toMatchObject({
      labels: { "edge.drayage.dev/stack": "shop" },
      ownerReferences: [{ kind: "EdgeStack", name: "shop", uid: stack.metadata.uid, controller: true }],
    });

    const order: string[] = [];
    await world.delete("edgestacks", "shop");
    await world.until(async () => {
      for (const { name } of CHAIN)
        if (!order.includes(name) && (await world.getContainer(`shop-${name}`)) === undefined) order.push(name);
      return (await world.getStack("shop")) === undefined;
    }, "the stack to be gone");
    expect(order).toEqual(["web", "api", "db"]);
    expect(names(site)).toEqual([]);
  });

  test("takes a change to the container it is about, adds and removes containers, and undoes what others did to them", async () => {
    const site = await world.site("press");
    world.operator();
    await world.stack("shop", { deviceRef: { name: "press" }, containers: [member("a"), member("b")] });
    await world.stackCondition("shop", "Ready", "True");
    const before = existing(site, "shop-a")[0]?.id;

    await world.patch("edgestacks", "shop", {
      spec: { containers: [member("a"), member("b", { image: "registry.example/sleeper:2" }), member("c")] },
    });
    const grown = await world.stackCondition("shop", "Ready", "True");
    expect(grown.status?.ready).toBe("3/3");
    expect(existing(site, "shop-a")[0]?.id).toBe(before);
    expect(existing(site, "shop-b")[0]?.imageRef).toBe("registry.example/sleeper:2");

    await world.patch("edgestacks", "shop", { spec: { containers: [member("a"), member("c")] } });
    await world.stackCondition("shop", "Ready", "True");
    expect(await world.getContainer("shop-b")).toBeUndefined();
    expect(names(site)).toEqual(["shop-a", "shop-c"]);

    // By hand: a field changed, one added, the label taken off, and one of them deleted.
    await world.patch("edgecontainers", "shop-a", {
      metadata: { labels: null },
      spec: { tty: true, env: [{ name: "BY_HAND", value: "1" }] },
    });
    await world.delete("edgecontainers", "shop-c");
    await world.until(async () => {
      const a = await world.getContainer("shop-a");
      return a?.spec.env === undefined && a?.spec.tty === undefined && a?.metadata.labels !== undefined;
    }, "the edit to be undone");
    await world.until(() => everCreated(site, "shop-c").length === 2, "the deleted one to be made again");
    await world.stackCondition("shop", "Ready", "True");
    expect(names(site)).toEqual(["shop-a", "shop-c"]);
  });

  test("shows a failing container, holds back what depends on it, and goes on once a change has mended it", async () => {
    const site = await world.site("press");
    site.device.faults.image("registry.example/crasher:1", { runMs: 50, exitCode: 3, onSignal: 143 });
    world.operator();
    const dependent = member("web", {}, [{ name: "db", condition: "Ready" }]);
    await world.stack("shop", {
      deviceRef: { name: "press" },
      // Ready only after it has run for longer than this one ever does.
      containers: [
        member("db", { image: "registry.example/crasher:1", updateStrategy: { minReadySeconds: 3 } }),
        dependent,
      ],
    });
    await world.until(async () => {
      const children = (await world.getStack("shop"))?.status?.children;
      return children?.[0]?.reason === "CrashLoopBackOff" && children[1]?.reason === "Waiting";
    }, "the crash loop in the stack's status");
    const failing = await world.stackCondition("shop", "Ready", "False", "ChildrenNotReady");
    expect(conditionOf(failing, "Ready")?.message).toContain("container db:");
    expect(names(site)).toEqual(["shop-db"]);
    await world.patch("edgestacks", "shop", { spec: { containers: [member("db"), dependent] } });
    await world.stackCondition("shop", "Ready", "True");
    expect(names(site)).toEqual(["shop-db", "shop-web"]);
  });

  test("never takes over an EdgeContainer that has the name of one of its own", async () => {
    const site = await world.site("press");
    await world.container("shop-web", site, { env: [{ name: "WHOSE", value: "a human's" }] });
    world.operator();
    await world.condition("shop-web", "Ready", "True");
    const theirs = await world.getContainer("shop-web");
    await world.stack("shop", { deviceRef: { name: "press" }, containers: [member("web"), member("log")] });
    const waiting = await world.stackCondition("shop", "Reconciling", "True", "WaitingForRelease");
    expect(conditionOf(waiting, "Reconciling")?.message).toMatch(/shop-web exists and is not this stack's/);
    await world.condition("shop-log", "Ready", "True");
    expect((await world.getContainer("shop-web"))?.spec).toEqual(theirs?.spec);
    // It waits for the name, and goes without touching what is not its own.
    await world.delete("edgestacks", "shop");
    await world.gone("edgestacks", "shop");
    expect(names(site)).toEqual(["shop-web"]);
    await world.stack("shop", { deviceRef: { name: "press" }, containers: [member("web")] });
    await world.stackCondition("shop", "Reconciling", "True", "WaitingForRelease");
    await world.delete("edgecontainers", "shop-web");
    await world.stackCondition("shop", "Ready", "True");
  });

  test("passes suspend and the deletion policy on, and leaves everything with --cascade=orphan", async () => {
    const site = await world.site("press");
    world.operator();
    await world.stack("kept", { deviceRef: { name: "press" }, containers: [member("a")] });
    await world.stackCondition("kept", "Ready", "True");
    await world.patch("edgestacks", "kept", { spec: { suspend: true, containers: [member("a"), member("b")] } });
    await world.stackCondition("kept", "Suspended", "True");
    await world.condition("kept-a", "Suspended", "True");
    expect(await world.getContainer("kept-b")).toBeUndefined();
    await world.patch("edgestacks", "kept", { spec: { suspend: null } });
    await world.stackCondition("kept", "Ready", "True");
    expect(names(site)).toEqual(["kept-a", "kept-b"]);

    await world.patch("edgestacks", "kept", { spec: { deletion: { policy: "Orphan" } } });
    await world.delete("edgestacks", "kept");
    await world.gone("edgestacks", "kept");
    expect(await world.getContainer("kept-a")).toBeUndefined();
    expect(names(site)).toEqual(["kept-a", "kept-b"]);

    await world.stack("free", { deviceRef: { name: "press" }, containers: [member("a")] });
    await world.stackCondition("free", "Ready", "True");
    await world.admin.delete(`${world.path("edgestacks", "free")}?propagationPolicy=Orphan`);
    await world.until(
      async () => (await world.getContainer("free-a"))?.metadata.ownerReferences === undefined,
      "the container to be nobody's",
    );
    expect((await world.getContainer("free-a"))?.metadata.deletionTimestamp).toBeUndefined();
    expect(names(site)).toContain("free-a");
  });

  test("refuses a circle of dependencies with its names, and what the API server refuses with its words", async () => {
    await world.site("press");
    world.operator();
    await world.stack("ring", {
      deviceRef: { name: "press" },
      containers: [member("a", {}, [{ name: "b" }]), member("b", {}, [{ name: "a" }])],
    });
    const ring = await world.stackCondition("ring", "Stalled", "True", "InvalidSpec");
    expect(conditionOf(ring, "Stalled")?.message).toContain("a depends on b depends on a");
    expect(await world.getContainer("ring-a")).toBeUndefined();
    await world.stack("twice", {
      deviceRef: { name: "press" },
      containers: [member("a", { resources: { limits: { memory: "0" } } })],
    });
    const refused = await world.stackCondition("twice", "Stalled", "True", "InvalidSpec");
    expect(conditionOf(refused, "Stalled")?.message).toMatch(/containers\[0\]\.template\.resources.*more than 0/);
    expect(conditionOf(refused, "Ready")).toMatchObject({ status: "False", reason: "Rejected" });
  });

  test("waits for its device, and a killed operator makes nothing twice", async () => {
    const first = world.operator();
    await world.stack("shop", { deviceRef: { name: "press" }, containers: CHAIN });
    await world.stackCondition("shop", "Accepted", "False", "DeviceNotFound");
    const site = await world.site("press");
    await world.until(() => names(site).includes("shop-db"), "the first container");
    first.kill("SIGKILL");
    world.operator();
    await world.stackCondition("shop", "Ready", "True");
    for (const { name } of CHAIN) expect(everCreated(site, `shop-${name}`)).toHaveLength(1);
  });
});

test("an EdgeStack on ALPON runs its containers beside each other", async () => {
  const vendor = await startAlponVendor(world, ["a1"]);
  try {
    world.operator();
    const image = "registry.example/app:1";
    await world.stack("shop", {
      deviceRef: { name: "a1" },
      mode: "Shared",
      containers: [member("db", { image }), member("web", { image }, [{ name: "db", condition: "Ready" }])],
    });
    await world.stackCondition("shop", "Ready", "True");
    const books = () => Array.from(vendor.simulator.device("a1").containers.values(), ({ name }) => name).toSorted();
    expect(books()).toEqual([expect.stringMatching(/^shop-db-/), expect.stringMatching(/^shop-web-/)]);
    await world.delete("edgestacks", "shop");
    await world.gone("edgestacks", "shop");
    expect(books()).toEqual([]);
  } finally {
    await vendor[Symbol.asyncDispose]();
  }
});

test("an EdgeStack on Hiveon has exactly one container; more are refused and nothing is rented", async () => {
  const vendor = await startVendor(world, ["rig-1"]);
  try {
    world.operator();
    const image = "registry.example/app:1";
    const containers = [member("a", { image }), member("b", { image })];
    await world.stack("farm", { deviceRef: { name: "rig-1" }, containers });
    const refused: EdgeStack = await world.stackCondition("farm", "Stalled", "True", "UnsupportedField");
    expect(conditionOf(refused, "Stalled")?.message).toMatch(/containers: has 2.*leave exactly one/);
    expect(vendor.simulator.rentals()).toEqual([]);
    await world.patch("edgestacks", "farm", { spec: { containers: containers.slice(0, 1) } });
    await world.stackCondition("farm", "Ready", "True");
    expect(vendor.simulator.rentals()).toHaveLength(1);
    await world.delete("edgestacks", "farm");
    await world.gone("edgestacks", "farm");
  } finally {
    await vendor[Symbol.asyncDispose]();
  }
});

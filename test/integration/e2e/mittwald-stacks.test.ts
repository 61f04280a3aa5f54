/** EdgeStacks on mittwald, in both modes, end to end: what the vendor has at the end is what counts, whatever was lost or killed. */
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import type { EdgeContainerTemplate } from "../../../src/crds/edge-container.ts";
import type { EdgeStackSpec, StackContainer } from "../../../src/crds/edge-stack.ts";
import type { Effect, Quirks } from "../../../src/simulators/mittwald/index.ts";
import { startMittwaldVendor, type MittwaldVendor } from "../../support/mittwald-world.ts";
import { conditionOf, World } from "../../support/world.ts";

let world: World;
let vendor: MittwaldVendor;
beforeEach(async () => {
  world = await World.create({ kubeconfig: inject("controlPlane").kubeconfig });
  vendor = await startMittwaldVendor(world);
});
afterEach(async () => {
  await world[Symbol.asyncDispose]();
  await vendor[Symbol.asyncDispose]();
});

function member(name: string, template: Partial<EdgeContainerTemplate> = {}, after?: string): StackContainer {
  return {
    name,
    ...(after !== undefined && { dependsOn: [{ name: after, condition: "Ready" as const }] }),
    template: {
      image: "registry.example/app:1",
      updateStrategy: { minReadySeconds: 0 },
      backoff: { initialSeconds: 1, maxSeconds: 2 },
      ...template,
    },
  };
}

const PAIR = [member("web", {}, "db"), member("db", { volumes: [{ volumeName: "data", mountPath: "/data" }] })];
const apply = (spec: Partial<EdgeStackSpec> = {}) =>
  world.stack("shop", { deviceRef: { name: "site" }, containers: PAIR, ...spec });
/** Stacks beside the project's own. */
const added = () => vendor.simulator.platform.stacks().filter(({ id }) => id !== vendor.projectId);
const standard = () => vendor.simulator.platform.stack(vendor.projectId);
const services = (stack: { containers: ReadonlyMap<string, unknown> } | undefined) =>
  [...(stack?.containers.keys() ?? [])].toSorted();
const eventOf = async (reason: string): Promise<boolean> => {
  const events = await world.admin.get<{ items: { reason: string }[] }>(
    `/apis/events.k8s.io/v1/namespaces/${world.namespace}/events`,
  );
  return events.body.items.some((event) => event.reason === reason);
};
const requests = (operation: string) =>
  vendor.simulator.requests().filter((each) => each.operation === operation && each.status !== undefined);

describe("in mode Own", () => {
  test("it makes a stack of its own, beside what people have, and leaves it with its volumes", async () => {
    vendor.simulator.human.create(standard().id, "theirs", { image: "x/y:1" });
    world.operator();
    await apply({ volumes: [{ name: "spare" }] });
    const ready = await world.stackCondition("shop", "Ready", "True");
    expect(added()).toHaveLength(1);
    const [own] = added();
    expect(own?.description).toMatch(new RegExp(`^shop \\[drayage-stack:${world.ownerId}/${world.namespace}/shop/`));
    expect(ready.status).toMatchObject({ external: { id: own?.id }, ready: "2/2" });
    expect(ready.status).not.toHaveProperty("operation");
    // In a stack of their own they find each other by their names in it.
    expect(services(own)).toEqual(["db", "web"]);
    expect(services(standard())).toEqual(["theirs"]);
    await world.until(() => [...(added()[0]?.volumes.keys() ?? [])].toSorted().join() === "data,spare", "the volumes");
    const device = await world.getDevice("shop-stack");
    expect(device?.spec.mittwald).toEqual({ projectId: vendor.projectId, stackId: own?.id });

    // Somebody puts something into it: it is the EdgeStack's alone.
    vendor.simulator.human.create(own?.id ?? "", "stray", { image: "x/y:1" });
    await world.until(() => services(added()[0]).join() === "db,web", "the stray to be gone");
    await world.stackCondition("shop", "Ready", "True");

    await world.delete("edgestacks", "shop");
    await world.gone("edgestacks", "shop");
    await world.gone("edgedevices", "shop-stack");
    expect(added()).toHaveLength(1);
    expect(services(added()[0])).toEqual([]);
    expect([...(added()[0]?.volumes.values() ?? [])].map(({ detached }) => detached)).toEqual([true, true]);
    expect(requests("delete-stack")).toEqual([]);
    expect(services(standard())).toEqual(["theirs"]);

    // The next of this name goes on with the data of the last.
    const left = added()[0]?.id;
    await apply();
    await world.stackCondition("shop", "Ready", "True");
    expect(added().map(({ id }) => id)).toEqual([left]);
  });

  test("with deleteVolumes it removes the volumes one by one, then the stack, and nothing else", async () => {
    vendor.simulator.human.create(standard().id, "theirs", { image: "x/y:1", volumes: ["keep:/k"] });
    world.operator();
    await apply({ volumes: [{ name: "spare" }], deletion: { deleteVolumes: true } });
    await world.stackCondition("shop", "Ready", "True");
    await world.until(() => added()[0]?.volumes.size === 2, "both volumes");
    await world.delete("edgestacks", "shop");
    await world.gone("edgestacks", "shop");
    expect(added()).toEqual([]);
    expect(requests("delete-volume")).toHaveLength(2);
    expect(requests("delete-stack")).toHaveLength(1);
    expect(services(standard())).toEqual(["theirs"]);
    expect([...standard().volumes.keys()]).toEqual(["keep"]);
  });

  test("another installation's service in its stack is told of and left, and with it the stack", async () => {
    world.operator();
    await apply({ containers: [member("db")], deletion: { deleteVolumes: true } });
    await world.stackCondition("shop", "Ready", "True");
    const id = added()[0]?.id ?? "";
    const description = "theirs [drayage:somebody-else/ns/theirs//op]";
    vendor.simulator.human.create(id, "theirs", { image: "x/y:1", description });
    vendor.simulator.human.create(id, "stray", { image: "x/y:1" });
    await world.until(() => eventOf("StrayLeft"), "the event");
    await world.until(() => services(added()[0]).join() === "db,theirs", "the stray to be gone");
    await world.delete("edgestacks", "shop");
    await world.gone("edgestacks", "shop");
    expect(services(added()[0])).toEqual(["theirs"]);
    expect([...requests("declare-stack"), ...requests("delete-stack")]).toEqual([]);
  });

  test.each<[string, { shortId?: boolean; stackId?: string }, string]>([
    ["addresses what another one does", {}, "is refused (DuplicateTarget)"],
    ["addresses it under the project's short id", { shortId: true }, "this stack is the one of another EdgeDevice"],
    ["names a stack that is not there", { stackId: "0a0e0000-0000-4000-8000-00000000abcd" }, "has no such stack"],
  ])("no stack is made in a project by way of an EdgeDevice that %s", async (_, { shortId = false, stackId }, why) => {
    world.operator();
    await world.until(async () => conditionOf(await world.getDevice("site"), "Ready")?.status === "True", "the device");
    const project = vendor.simulator.platform.projects()[0];
    const projectId = (shortId ? project?.shortId : project?.id) ?? "";
    await world.create("edgedevices", "guest", {
      backendRef: { name: "mittwald" },
      mittwald: { projectId, ...(stackId !== undefined && { stackId }) },
    });
    await apply({ deviceRef: { name: "guest" } });
    await world.until(
      async () => conditionOf(await world.getStack("shop"), "Accepted")?.message.includes(why) === true,
      "the EdgeStack to say why it waits",
    );
    expect(conditionOf(await world.getStack("shop"), "Accepted")).toMatchObject({
      status: "False",
      reason: "DeviceNotReady",
    });
    expect(requests("create-stack")).toEqual([]);
    expect(added()).toEqual([]);
  });

  test("at rest the project is listed once per interval, for the devices and the EdgeStack together", async () => {
    world.operator();
    await apply({ containers: [member("db")] });
    await world.stackCondition("shop", "Ready", "True");
    const lists = () => requests("list-stacks").length;
    const before = lists();
    const sinceMs = performance.now();
    await world.until(() => lists() >= before + 10, "ten lists");
    // The interval is a second, less a tenth.
    expect(performance.now() - sinceMs).toBeGreaterThan(7_000);
  });

  test("nobody else may use its stack", async () => {
    world.operator();
    await apply();
    const ready = await world.stackCondition("shop", "Ready", "True");
    const id = ready.status?.external?.id ?? "";
    await world.create("edgedevices", "intruder", {
      backendRef: { name: "mittwald" },
      mittwald: { projectId: vendor.projectId, stackId: id },
    });
    await world.until(
      async () => conditionOf(await world.getDevice("intruder"), "Stalled")?.reason === "StackOwned",
      "the EdgeDevice to be refused",
    );
    await world.create("edgecontainers", "guest", {
      deviceRef: { name: "shop-stack" },
      image: "registry.example/app:1",
    });
    await world.condition("guest", "Stalled", "True", "StackOwned");
    await world.stack("second", { deviceRef: { name: "shop-stack" }, containers: [member("a")] });
    await world.stackCondition("second", "Stalled", "True", "StackOwned");
    expect(services(added()[0])).toEqual(["db", "web"]);
  });

  test.each<[string, Effect, Partial<Quirks>]>([
    ["its creation's answer is lost", { kind: "reset", when: "after" }, {}],
    [
      "its creation's answer is lost, and lists are behind",
      { kind: "reset", when: "after" },
      { lagMs: 200, listLagMs: 300 },
    ],
    ["its creation's answer ends in the middle", { kind: "cut" }, {}],
    ["its creation fails after it was carried out", { kind: "answer", status: 500, when: "after" }, {}],
    ["its creation is refused for now", { kind: "answer", status: 503, when: "before" }, {}],
    ["its creation never arrives", { kind: "reset", when: "before" }, {}],
  ])("one stack is made when %s", async (_, effect, quirks) => {
    Object.assign(vendor.simulator.quirks, quirks);
    vendor.simulator.fault({ match: "create-stack", times: 1, effect });
    world.operator();
    await apply();
    await world.stackCondition("shop", "Ready", "True");
    expect(added()).toHaveLength(1);
    expect(services(added()[0])).toEqual(["db", "web"]);
  });

  test("a vendor that answers a creation with errors is asked at a growing interval, and looked at meanwhile", async () => {
    vendor.simulator.fault({
      match: "create-stack",
      times: 5,
      effect: { kind: "answer", status: 500, when: "before" },
    });
    world.operator();
    await apply({ containers: [member("db")] });
    await world.until(async () => (await world.getStack("shop"))?.status?.backoff?.count === 2, "the second try");
    const status = (await world.getStack("shop"))?.status;
    expect(status?.operation).toMatchObject({ type: "CreateStack" });
    // The curve's second pause is 20 s long, and the test's settle time half a second.
    expect(Date.parse(status?.backoff?.nextRetryTime ?? "") - Date.now()).toBeGreaterThan(10_000);
    const [first, second, ...more] = requests("create-stack");
    expect(more).toEqual([]);
    expect(second?.body).toEqual(first?.body);

    // The first one shows after all: nothing is waited for any more.
    vendor.simulator.human.call("create-stack", { projectId: vendor.projectId }, first?.body);
    const ready = await world.stackCondition("shop", "Ready", "True");
    expect(ready.status).not.toHaveProperty("backoff");
    expect(added()).toHaveLength(1);
    expect(requests("create-stack")).toHaveLength(2);
  });

  test("of two stacks that one creation made, one is used and the other is told of", async () => {
    vendor.simulator.fault({ match: "create-stack", times: 1, effect: { kind: "duplicate", ms: 50 } });
    world.operator();
    await apply();
    const ready = await world.stackCondition("shop", "Ready", "True");
    await world.until(() => eventOf("StackDoubled"), "the event");
    const [used, spare] = added().toSorted((a, b) => b.containers.size - a.containers.size);
    expect(ready.status?.external?.id).toBe(used?.id);
    expect([services(used), services(spare)]).toEqual([["db", "web"], []]);
  });

  test("one stack is made when the operator is killed in the middle of making it", async () => {
    let operator = world.operator();
    let killed = false;
    vendor.simulator.fault({
      match: "create-stack",
      times: 1,
      effect: { kind: "delay", ms: 300 },
    });
    await apply();
    await world.until(
      () =>
        requests("create-stack").length > 0 ||
        vendor.simulator.requests().some((each) => each.operation === "create-stack"),
      "the creation",
    );
    operator.kill("SIGKILL");
    killed = true;
    operator = world.operator();
    await world.stackCondition("shop", "Ready", "True");
    expect(killed).toBe(true);
    expect(added()).toHaveLength(1);
  });

  test("a second stack with its mark is told of, and left as it is", async () => {
    world.operator();
    await apply();
    const ready = await world.stackCondition("shop", "Ready", "True");
    const [own] = added();
    vendor.simulator.human.call("create-stack", { projectId: vendor.projectId }, { description: own?.description });
    await world.until(() => eventOf("StackDoubled"), "the event");
    await world.patch("edgestacks", "shop", { spec: { containers: [member("db")] } });
    const after = await world.stackCondition("shop", "Ready", "True");
    expect(after.status?.external).toEqual(ready.status?.external);
    expect(added()).toHaveLength(2);
  });
});

describe("in mode Shared", () => {
  test("its containers are services of the device's stack, beside others, under names of their own", async () => {
    vendor.simulator.human.create(standard().id, "theirs", { image: "x/y:1", volumes: ["keep:/k"] });
    const theirs = vendor.simulator.platform.stack(vendor.projectId).containers.get("theirs")?.identity.id;
    world.operator();
    await apply({ mode: "Shared", deletion: { deleteVolumes: true } });
    const ready = await world.stackCondition("shop", "Ready", "True");
    expect(ready.status).not.toHaveProperty("external");
    expect(services(standard())).toEqual(["shop-db", "shop-web", "theirs"]);
    expect(added()).toEqual([]);
    expect(requests("declare-stack")).toEqual([]);
    await world.delete("edgestacks", "shop");
    await world.gone("edgestacks", "shop");
    expect(services(standard())).toEqual(["theirs"]);
    expect(standard().containers.get("theirs")?.identity.id).toBe(theirs);
    expect([...standard().volumes.keys()]).toEqual(["keep"]);
  });
});

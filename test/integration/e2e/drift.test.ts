import { afterEach, beforeEach, expect, inject, test } from "vitest";
import type { EdgeContainerSpec } from "../../../src/crds/edge-container.ts";
import { conditionOf, everCreated, existing, World, type Site } from "../../support/world.ts";

let world: World;
beforeEach(async () => {
  world = await World.create({ kubeconfig: inject("controlPlane").kubeconfig });
});
afterEach(async () => world[Symbol.asyncDispose]());

const SPEC: Partial<EdgeContainerSpec> = {
  restartPolicy: { type: "Always" },
  resources: { limits: { memory: "64Mi" } },
};

type Doing = (site: Site, id: string) => Promise<void>;

/** What a person does to a container with the local tool, and the drift that it is. */
const DOINGS: [string, Doing, { path: string; observed: RegExp }, Partial<EdgeContainerSpec>?][] = [
  [
    "another memory limit",
    ({ device }, id) => device.human.update(id, { resources: { memory: "128M" } }),
    { path: "resources.limits.memory", observed: /134217728/ },
  ],
  [
    "no memory limit",
    ({ device }, id) => device.human.update(id, { resources: {} }),
    { path: "resources.limits.memory", observed: /^0$/ },
  ],
  [
    "another restart policy",
    ({ device }, id) => device.human.update(id, { restartPolicy: { type: "no" } }),
    { path: "restartPolicy", observed: /NO/ },
  ],
  [
    "a stop",
    ({ device }, id) => device.human.stop(id),
    { path: "desiredState", observed: /Stopped/ },
    { restartPolicy: { type: "UnlessStopped" } },
  ],
  ["a pause", ({ device }, id) => device.human.pause(id), { path: "desiredState", observed: /Paused/ }],
  [
    "a start",
    ({ device }, id) => device.human.start(id),
    { path: "desiredState", observed: /Running/ },
    // With Always the stop would be held at policy No.
    { desiredState: "Stopped", restartPolicy: { type: "UnlessStopped" } },
  ],
  ["another name", ({ device }, id) => device.human.rename(id, `${id}-x`), { path: "name", observed: /-x$/ }],
  ["a removal", ({ device }, id) => device.human.remove(id), { path: "desiredState", observed: /Removed/ }],
];

interface RecordedEvent {
  reason: string;
  regarding?: { name: string };
  note?: string;
}

async function driftEvents(name: string): Promise<RecordedEvent[]> {
  const path = `/apis/events.k8s.io/v1/namespaces/${world.namespace}/events`;
  const { body } = await world.admin.get<{ items: RecordedEvent[] }>(path);
  return body.items.filter((event) => event.reason === "Drifted" && event.regarding?.name === name);
}

/** What a container is on the device, without what changes by itself. */
function picture(site: Site, id: string) {
  const container = site.device.containers().find((each) => each.id === id);
  return JSON.stringify([container?.name, container?.config, container?.state.status, container?.processStarts]);
}

test.each(DOINGS)(
  "%s by hand is told, and set right or only reported; a stranger's container is listed and left alone",
  async (_what, doing, drift, spec = {}) => {
    const site = await world.site("press");
    const theirs = await site.device.human.create({ name: "theirs", image: "registry.example/sleeper:1" });
    world.operator();
    const wanted = spec.desiredState ?? "Running";
    await world.container("corrected", site, { ...SPEC, ...spec });
    await world.container("reported", site, { ...SPEC, ...spec, driftPolicy: "Report" });
    const id: Record<string, string> = {};
    for (const name of ["corrected", "reported"]) {
      await world.condition(name, "Ready", "True", wanted);
      await world.condition(name, "Synced", "True", "InSync");
      id[name] = existing(site, name)[0]?.id ?? "";
    }
    const before = picture(site, id["corrected"] ?? "");
    const commands = site.device.commands().length;

    for (const name of ["corrected", "reported"]) await doing(site, id[name] ?? "");
    await doing(site, theirs).catch((error: unknown) => expect(String(error)).toMatch(/already running/));
    const theirPicture = picture(site, theirs);

    // Reported: told in status and as an event, and as it was left.
    const reported = await world.condition("reported", "Synced", "False", "Drifted");
    await world.until(
      async () => (await world.getContainer("reported"))?.status?.drift?.fields[0]?.path === drift.path,
      "the drift in status",
    );
    const { fields } = (await world.getContainer("reported"))?.status?.drift ?? { fields: [] };
    expect(fields).toHaveLength(1);
    expect(fields[0]?.observed).toMatch(drift.observed);
    expect(reported.status?.operation).toBeUndefined();
    const leftAs = picture(site, id["reported"] ?? "");

    // Corrected: as it was, and told all the same.
    await world.until(async () => (await driftEvents("corrected")).length === 1, "an event of the corrected drift");
    expect((await driftEvents("corrected"))[0]?.note).toContain("set right");
    await world.condition("corrected", "Ready", "True", wanted);
    await world.until(
      async () => (await world.getContainer("corrected"))?.status?.drift === undefined,
      "the drift to be over",
    );
    await world.condition("corrected", "Synced", "True", "InSync");
    const [now, ...others] = existing(site, "corrected");
    expect(others).toEqual([]);
    if (drift.observed.test("Removed")) expect(everCreated(site, "corrected")).toHaveLength(2);
    else {
      expect(now?.id).toBe(id["corrected"]);
      const [name, config, status] = JSON.parse(picture(site, now?.id ?? "")) as unknown[];
      const [formerName, formerConfig, formerStatus] = JSON.parse(before) as unknown[];
      // What never ran ends as stopped.
      expect({ name, status }).toEqual({
        name: formerName,
        status: formerStatus === "CREATED" ? "STOPPED" : formerStatus,
      });
      expect(config).toMatchObject({ ...(formerConfig as object), resources: { memory: "64M" } });
    }

    await world.until(async () => (await driftEvents("reported")).length === 1, "an event of the reported drift");
    expect(picture(site, id["reported"] ?? "")).toBe(leftAs);
    expect(conditionOf(await world.getContainer("reported"), "Synced")?.reason).toBe("Drifted");

    // Nothing was ever sent to the others.
    const touched = site.device.commands().slice(commands);
    for (const stranger of [theirs, id["reported"] ?? ""])
      expect(touched.filter(({ feature }) => feature === `Container:${stranger}`)).toEqual([]);
    expect(picture(site, theirs)).toBe(theirPicture);
    // The device's status follows in a write of its own.
    const listed = existing(site).some((container) => container.id === theirs);
    await expect
      .poll(async () => (await world.getDevice("press"))?.status?.unmanaged ?? [])
      .toMatchObject(listed ? [{ externalId: theirs, ours: false }] : []);
  },
);

test("a container that was removed by hand and only reported comes back with a restart, or with driftPolicy Correct", async () => {
  const site = await world.site("press");
  world.operator();
  for (const name of ["a", "b"]) await world.container(name, site, { driftPolicy: "Report" });
  for (const name of ["a", "b"]) {
    await world.condition(name, "Ready", "True");
    await site.device.human.remove(name);
    const object = await world.condition(name, "Ready", "False", "Progressing");
    expect(conditionOf(object, "Ready")?.message).toContain("removed");
  }
  await world.patch("edgecontainers", "a", { metadata: { annotations: { "edge.drayage.dev/restartedAt": "now" } } });
  await world.patch("edgecontainers", "b", { spec: { driftPolicy: "Correct" } });
  for (const name of ["a", "b"]) await world.condition(name, "Ready", "True", "Running");
  expect(existing(site)).toHaveLength(2);
});

/** EdgeContainers on a device that is reached through Eclipse Ditto. */
import { afterEach, beforeEach, expect, inject, test } from "vitest";
import { startBroker } from "../../mqtt/broker.ts";
import { conditionOf, everCreated, existing, World, type Site } from "../../support/world.ts";
import { startDitto, type Ditto } from "../../../src/simulators/ditto/index.ts";
import { startKantoDevice } from "../../../src/simulators/kanto/index.ts";

const THING = "edge:press:edge:containers";
const PASSWORD = "s3cret-of-ditto";

let world: World;
let site: Site;
let ditto: Ditto;

beforeEach(async () => {
  world = await World.create({ kubeconfig: inject("controlPlane").kubeconfig });
  const broker = await startBroker();
  ditto = await startDitto({
    brokerUrl: broker.url,
    things: [THING],
    users: { basic: { drayage: PASSWORD } },
    secondMs: 100,
    reconnectMs: 100,
  });
  const device = await startKantoDevice({
    brokerUrl: broker.url,
    deviceId: "edge:press",
    answerIdentity: true,
    reconnectMs: 100,
    restartDelayMs: 100,
    defaultStopTimeoutS: 1,
    startMs: 5,
  });
  site = { name: "press", broker, device };
});
afterEach(async () => {
  await world[Symbol.asyncDispose]();
  await ditto.close();
  await site.device.stop();
  await site.broker.close();
});

async function secret(data: Record<string, string>): Promise<void> {
  const answer = await world.admin.create(`/api/v1/namespaces/${world.namespace}/secrets`, {
    metadata: { name: "ditto" },
    stringData: data,
  });
  if (answer.status !== 201) throw new Error(`secret: ${answer.status}`);
}

async function route(): Promise<void> {
  await world.create("edgebackends", "cloud", {
    kanto: { url: ditto.url, tenant: "t1", transport: "Ditto" },
    credentialsSecretRef: { name: "ditto" },
    observeIntervalSeconds: 2,
    commandTimeoutSeconds: 5,
    createTimeoutSeconds: 20,
  });
  await world.create("edgedevices", "press", {
    backendRef: { name: "cloud" },
    kanto: { thingId: "edge:press" },
    deletion: { graceSeconds: 5 },
  });
}

test("a container is made, changed, followed through a broken link, and removed", async () => {
  await secret({ username: "drayage", password: PASSWORD });
  await route();
  world.operator();
  await world.container("web", site);
  await world.condition("web", "Ready", "True", "Running");
  await world.patch("edgecontainers", "web", { spec: { image: "registry.example/sleeper:2" } });
  await world.until(
    () => existing(site, "web").some(({ imageRef }) => imageRef === "registry.example/sleeper:2"),
    "the new image",
  );
  await world.condition("web", "Ready", "True", "Running");
  expect(everCreated(site, "web")).toHaveLength(2);

  ditto.linkDown(THING);
  await world.condition("web", "Ready", "Unknown", "DeviceUnreachable");
  await world.patch("edgecontainers", "web", { spec: { desiredState: "Stopped" } });
  ditto.linkUp(THING);
  await world.until(() => existing(site, "web")[0]?.state["status"] === "STOPPED", "the stop");

  await world.delete("edgecontainers", "web");
  await world.gone("edgecontainers", "web");
  expect(existing(site)).toEqual([]);
  const sent = ditto.messages.map(({ correlationId }) => correlationId);
  expect(new Set(sent).size).toBe(sent.length);
});

test("a reply that is lost makes no second container", async () => {
  await secret({ username: "drayage", password: PASSWORD });
  await route();
  ditto.faults.message({ subject: "createWithConfig", effect: { kind: "cut", when: "answered" } });
  world.operator();
  await world.container("web", site);
  await world.condition("web", "Ready", "True", "Running");
  expect(everCreated(site, "web")).toHaveLength(1);
});

test("wrong credentials stand in the EdgeBackend's conditions, and a corrected Secret is taken up", async () => {
  await secret({ username: "drayage", password: "wrong" });
  await route();
  const operator = world.operator();
  const connected = async () => conditionOf(await world.getBackend("cloud"), "Ready");
  await world.until(async () => (await connected())?.reason === "Unauthorized", "the refusal");
  await world.admin.patch(`/api/v1/namespaces/${world.namespace}/secrets/ditto`, {
    stringData: { password: PASSWORD },
  });
  await world.until(async () => (await connected())?.status === "True", "the connection");
  expect(operator.stdout + operator.stderr).not.toContain(PASSWORD);
});

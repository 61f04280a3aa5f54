import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { conditionOf, everCreated, existing, World } from "../../support/world.ts";

let world: World;
beforeEach(async () => {
  world = await World.create({ kubeconfig: inject("controlPlane").kubeconfig });
});
afterEach(async () => world[Symbol.asyncDispose]());

/** Events about an object, newest last. */
async function eventsOf(name: string): Promise<{ reason: string; note: string; type: string }[]> {
  const list = await world.admin.get<{
    items: { reason: string; note: string; type: string; regarding: { name: string } }[];
  }>(`/apis/events.k8s.io/v1/namespaces/${world.namespace}/events`);
  return list.body.items.filter((event) => event.regarding.name === name);
}

/** Reasons of the warnings about an object; events are written beside the status, not before it. */
async function warningsOf(name: string): Promise<string[]> {
  return (await eventsOf(name)).filter(({ type }) => type === "Warning").map(({ reason }) => reason);
}

describe("a container that fails", () => {
  test("in a loop is CrashLoopBackOff with its restarts and last state, and nothing is sent", async () => {
    const site = await world.site("press");
    world.operator();
    site.device.faults.image("registry.example/crasher:1", { runMs: 50, exitCode: 3, onSignal: 143 });
    await world.container("bad", site, { image: "registry.example/crasher:1", restartPolicy: { type: "Always" } });
    await world.condition("bad", "Ready", "False", "CrashLoopBackOff");
    await world.until(
      async () => ((await world.getContainer("bad"))?.status?.restartCount ?? 0) >= 2,
      "restarts to be counted",
    );
    const object = await world.getContainer("bad");
    expect(object?.status).toMatchObject({
      phase: "CrashLoopBackOff",
      lastState: { terminated: { exitCode: 3, reason: "Error" } },
      restartCountSource: "Derived",
      backoff: { kind: "Crash" },
    });
    expect(object?.status?.backoff?.nextRetryTime).toBeUndefined();
    const sent = site.device.commands().filter((command) => command.operation === "start");
    expect(sent).toHaveLength(1);
    await expect.poll(async () => warningsOf("bad")).toContain("CrashLoopBackOff");
  });

  test("and recovers is Ready again", async () => {
    const site = await world.site("press");
    world.operator();
    await world.container("bad", site, { restartPolicy: { type: "Always", retryTimeoutSeconds: 1 } });
    await world.condition("bad", "Ready", "True", "Running");
    site.device.faults.crashLoop("bad", { runMs: 50, exitCode: 3 });
    await world.condition("bad", "Ready", "False", "CrashLoopBackOff");
    site.device.faults.crashLoop("bad", undefined);
    const object = await world.condition("bad", "Ready", "True", "Running");
    expect(conditionOf(object, "Stalled")).toBeUndefined();
    expect(object.status?.restartCount).toBeGreaterThanOrEqual(3);
  });

  test("to be pulled backs off, leaves what runs alone, and is created once the image is there", async () => {
    const site = await world.site("press");
    world.operator();
    site.device.faults.pullFailure("registry.example/sleeper:2", "not-found");
    await world.container("web", site);
    await world.condition("web", "Ready", "True");
    const [old] = existing(site, "web");
    await world.patch("edgecontainers", "web", { spec: { image: "registry.example/sleeper:2" } });
    const failing = await world.condition("web", "Ready", "False", "ImagePullBackOff");
    expect(failing.status?.backoff).toMatchObject({ kind: "Pull" });
    expect(conditionOf(failing, "Reconciling")).toMatchObject({ reason: "BackingOff" });
    await world.until(
      async () => ((await world.getContainer("web"))?.status?.backoff?.count ?? 0) >= 2,
      "a second try",
    );
    expect(existing(site, "web")).toMatchObject([{ id: old?.id, state: { status: "RUNNING" } }]);
    site.device.faults.pullFailure("registry.example/sleeper:2", undefined);
    const object = await world.condition("web", "Ready", "True");
    expect(object.status?.lastFailure).toBeUndefined();
    expect(object.status?.backoff).toBeUndefined();
    expect(existing(site, "web")).toMatchObject([{ imageRef: "registry.example/sleeper:2" }]);
  });

  test("to start says why in Ready, and starts when the cause is mended", async () => {
    const site = await world.site("press");
    world.operator();
    await world.container("web", site, { image: "registry.example/nocommand:1" });
    const failing = await world.condition("web", "Ready", "False", "RunContainerError");
    expect(conditionOf(failing, "Ready")?.message).toMatch(/exec: .*no such file or directory/);
    expect(everCreated(site, "web")).toHaveLength(1);
    await world.patch("edgecontainers", "web", { spec: { image: "registry.example/sleeper:1" } });
    await world.condition("web", "Ready", "True", "Running");
  });

  test("for a port that a stranger holds waits for its release", async () => {
    const site = await world.site("press");
    world.operator();
    site.device.faults.holdPort({ port: 8080 });
    await world.container("web", site, { ports: [{ containerPort: 80, hostPort: 8080 }] });
    await world.condition("web", "Reconciling", "True", "WaitingForRelease");
    site.device.faults.releasePort({ port: 8080 });
    await world.condition("web", "Ready", "True");
    expect(everCreated(site, "web")).toHaveLength(1);
  });

  test("for good ends as Completed or Failed, as its exit code says", async () => {
    const site = await world.site("press");
    world.operator();
    site.device.faults.image("registry.example/oneshot:bad", { runMs: 30, exitCode: 7, onSignal: 143 });
    await world.container("good", site, { image: "registry.example/oneshot:1", restartPolicy: { type: "No" } });
    await world.container("bad", site, { image: "registry.example/oneshot:bad", restartPolicy: { type: "No" } });
    const good = await world.condition("good", "Ready", "True", "Completed");
    expect(good.status).toMatchObject({
      phase: "Succeeded",
      state: { terminated: { exitCode: 0, reason: "Completed" } },
    });
    const bad = await world.condition("bad", "Ready", "False", "Failed");
    expect(conditionOf(bad, "Stalled")).toMatchObject({ reason: "ContainerFailed" });
    expect(existing(site, "bad")[0]?.processStarts).toBe(1);
    await expect.poll(async () => warningsOf("bad")).toEqual(["ContainerFailed"]);
  });

  test("for want of memory says so", async () => {
    const site = await world.site("press");
    world.operator();
    site.device.faults.image("registry.example/oom:1", { runMs: 50, exitCode: 137, oom: true, onSignal: 143 });
    await world.container("bad", site, { image: "registry.example/oom:1", restartPolicy: { type: "Always" } });
    const object = await world.condition("bad", "Ready", "False", "CrashLoopBackOff");
    expect(conditionOf(object, "Ready")?.message).toContain("out of memory");
    expect(object.status?.lastState?.terminated).toMatchObject({ exitCode: 137, reason: "OOMKilled" });
  });

  test("by a registry that refuses it is ImagePullBackOff, with ImageAvailable telling why, and heals by itself", async () => {
    const site = await world.site("press");
    world.operator();
    site.device.faults.pullFailure("registry.example/sleeper:9", "denied");
    await world.container("web", site, { image: "registry.example/sleeper:9" });
    const object = await world.condition("web", "Ready", "False", "ImagePullBackOff");
    expect(conditionOf(object, "ImageAvailable")).toMatchObject({ status: "False", reason: "Unauthorized" });
    expect(conditionOf(object, "Stalled")).toBeUndefined();
    expect(object.status?.lastFailure).toMatchObject({
      class: "WorkloadFailed",
      reason: "ImageUnauthorized",
      generation: 1,
    });
    expect(object.status?.lastFailure?.operationId).toBeDefined();
    site.device.faults.pullFailure("registry.example/sleeper:9", undefined);
    await world.condition("web", "Ready", "True");
  });
});

describe("bad input", () => {
  test("of a field that Kanto has not is refused with path and fix, and nothing is sent", async () => {
    const site = await world.site("press");
    world.operator();
    await world.container("web", site, { command: ["/bin/other"] });
    const object = await world.condition("web", "Stalled", "True", "UnsupportedField");
    expect(conditionOf(object, "Accepted")).toMatchObject({ status: "False" });
    expect(conditionOf(object, "Ready")).toMatchObject({ status: "False", reason: "Rejected" });
    expect(conditionOf(object, "Stalled")?.message).toMatch(/command/);
    expect(everCreated(site, "web")).toEqual([]);
    await world.patch("edgecontainers", "web", { spec: { command: null, args: ["x"] } });
    await world.condition("web", "Ready", "True");
  });

  test("of a missing Secret or key is named, and picked up by itself when it appears; its value is used and never shown", async () => {
    const site = await world.site("press");
    const operator = world.operator();
    const secretValue = "swordfish-4711";
    await world.container("web", site, {
      env: [{ name: "TOKEN", valueFrom: { secretKeyRef: { name: "creds", key: "token" } } }],
    });
    const missing = await world.condition("web", "Accepted", "False", "SecretNotFound");
    expect(conditionOf(missing, "Ready")).toMatchObject({ status: "False", reason: "Progressing" });
    expect(conditionOf(missing, "Reconciling")).toMatchObject({ reason: "WaitingForReference" });
    const secrets = `/api/v1/namespaces/${world.namespace}/secrets`;
    await world.admin.create(secrets, { metadata: { name: "creds" }, stringData: { other: "x" } });
    const keyMissing = await world.condition("web", "Accepted", "False", "SecretKeyMissing");
    expect(conditionOf(keyMissing, "Accepted")?.message).toContain('no key "token"');
    await world.admin.patch(`${secrets}/creds`, { stringData: { token: secretValue } });
    await world.condition("web", "Ready", "True");
    expect(existing(site, "web")[0]?.config["env"]).toContain(`TOKEN=${secretValue}`);
    // A changed value is a change of the spec.
    await world.admin.patch(`${secrets}/creds`, { stringData: { token: `${secretValue}-2` } });
    await world.until(
      () =>
        (existing(site, "web")[0]?.config["env"] as string[] | undefined)?.includes(`TOKEN=${secretValue}-2`) === true,
      "the new value on the device",
    );
    const object = await world.condition("web", "Ready", "True");
    expect(conditionOf(object, "SecretExposure")).toMatchObject({ status: "True", reason: "ReadableAtVendor" });
    expect(conditionOf(object, "SecretExposure")?.message).toMatch(/TOKEN$/);
    expect(JSON.stringify(object)).not.toContain(secretValue);
    expect(JSON.stringify(await eventsOf("web"))).not.toContain(secretValue);
    expect(operator.stdout + operator.stderr).not.toContain(secretValue);
  });

  test("of bytes that are no text waits for a Secret that is; keys of an encrypted image reach the device, and are shown nowhere", async () => {
    const site = await world.site("press");
    const operator = world.operator();
    const secrets = `/api/v1/namespaces/${world.namespace}/secrets`;
    await world.admin.create(secrets, {
      metadata: { name: "creds" },
      data: { token: Buffer.from([0xff, 0xfe]).toString("base64") },
      stringData: { key: "/keys/k.pem:swordfish", recipient: "pkcs7:/keys/c.crt" },
    });
    await world.container("web", site, {
      env: [
        { name: "PLAIN", value: "1" },
        { name: "TOKEN", valueFrom: { secretKeyRef: { name: "creds", key: "token" } } },
      ],
      backendOptions: {
        kanto: {
          decryption: {
            keys: [{ name: "creds", key: "key" }],
            recipients: [
              { name: "creds", key: "recipient" },
              { name: "creds", key: "none", optional: true },
            ],
          },
        },
      },
    });
    const refused = await world.condition("web", "Accepted", "False", "SecretMalformed");
    expect(conditionOf(refused, "Accepted")?.message).toContain('"token"');
    expect(everCreated(site, "web")).toEqual([]);
    await world.admin.patch(`${secrets}/creds`, { stringData: { token: "text" } });
    const object = await world.condition("web", "Ready", "True");
    expect(existing(site, "web")[0]?.config).toMatchObject({
      decryption: { keys: ["/keys/k.pem:swordfish"], recipients: ["pkcs7:/keys/c.crt"] },
    });
    expect(conditionOf(object, "SecretExposure")?.message).toMatch(/backendOptions\.kanto\.decryption, TOKEN$/);
    expect(conditionOf(object, "Synced")).toMatchObject({ status: "True" });
    const said = JSON.stringify(object) + JSON.stringify(await eventsOf("web")) + operator.stdout + operator.stderr;
    expect(said).not.toMatch(/swordfish|k\.pem/);
  });

  test("of a broker that is not there makes the EdgeBackend say so, and heals by itself", async () => {
    const site = await world.site("press");
    await site.broker.pause();
    world.operator();
    await world.container("web", site);
    await world.until(
      async () => conditionOf(await world.getBackend("press"), "Ready")?.reason === "ConnectionFailed",
      "EdgeBackend ConnectionFailed",
    );
    await site.broker.resume();
    await world.condition("web", "Ready", "True");
    expect(conditionOf(await world.getBackend("press"), "Ready")).toMatchObject({
      status: "True",
      reason: "Connected",
    });
  });

  test("of payloads that nobody understands is dropped and counted", async () => {
    const site = await world.site("press");
    const operator = world.operator();
    await world.container("web", site);
    await world.condition("web", "Ready", "True");
    for (const payload of [
      "",
      "nonsense",
      "[]",
      '{"topic":5}',
      '{"topic":"a/b/things/twin/commands/modify","path":"/features/Container:x","value":{"properties":7}}',
    ])
      await site.broker.publish("e/t1/edge:press:edge:containers", payload);
    await world.until(async () => {
      const text = await (await fetch(`${await operator.url("metrics")}/metrics`)).text();
      const counted = [...text.matchAll(/^drayage_backend_malformed_total\{[^}]*\} (\d+)$/gm)].reduce(
        (sum, match) => sum + Number(match[1]),
        0,
      );
      return counted >= 4;
    }, "malformed payloads to be counted");
    await world.patch("edgecontainers", "web", { spec: { desiredState: "Stopped" } });
    await world.condition("web", "Ready", "True", "Stopped");
    expect(operator.hasEnded).toBe(false);
  });
});

import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import { conditionOf, everCreated, existing, World, type Site } from "../../support/world.ts";

let world: World;
beforeEach(async () => {
  world = await World.create({ kubeconfig: inject("controlPlane").kubeconfig });
});
afterEach(async () => world[Symbol.asyncDispose]());

const GOOD = "registry.example/sleeper:1";
const BETTER = "registry.example/sleeper:2";
const BAD = "registry.example/crasher:1";

const SWAP = { type: "Swap", minReadySeconds: 1 } as const;
/** A trial that lasts until `endTrial`, so that a test can look at it however busy the machine is. */
const LONG_TRIAL = { updateStrategy: { type: "Swap", minReadySeconds: 300 } } as const;
const ALWAYS = { type: "Always", retryTimeoutSeconds: 1 } as const;

/** A site on which the first image runs under updateStrategy Swap. */
async function swapping(spec: Parameters<World["container"]>[2] = {}): Promise<Site> {
  const site = await world.site("press");
  site.device.faults.image(BAD, { runMs: 50, exitCode: 3, onSignal: 143 });
  await world.container("web", site, { image: GOOD, restartPolicy: ALWAYS, updateStrategy: SWAP, ...spec });
  return site;
}

const endTrial = () => world.patch("edgecontainers", "web", { spec: { updateStrategy: { minReadySeconds: 1 } } });
const firstRun = (site: Site) =>
  world.until(async () => {
    const { external, applied } = (await world.getContainer("web"))?.status ?? {};
    return applied?.state === "Running" && external?.id === existing(site, "web")[0]?.id;
  }, "the first container");
const setImage = (image: string) => world.patch("edgecontainers", "web", { spec: { image } });
const operationOf = async () => (await world.getContainer("web"))?.status?.operation;
const oneOperation = async (what: string) =>
  world.until(async () => (await operationOf()) === undefined, `the journal to be closed after ${what}`);

/** What was sent about a container, in order. */
const sentTo = (site: Site, id: string | undefined) =>
  site.device
    .commands()
    .filter(({ feature }) => id !== undefined && feature.includes(id))
    .map(({ operation }) => operation);

/** Names of the warnings about the object. */
async function warnings(): Promise<string[]> {
  const list = await world.admin.get<{ items: { reason: string; type: string; regarding: { name: string } }[] }>(
    `/apis/events.k8s.io/v1/namespaces/${world.namespace}/events`,
  );
  return list.body.items
    .filter((event) => event.regarding.name === "web" && event.type === "Warning")
    .map(({ reason }) => reason);
}

describe("updateStrategy Swap", () => {
  test("keeps the old container, stopped and held, until the new one has run for minReadySeconds", async () => {
    const site = await swapping(LONG_TRIAL);
    world.operator();
    await firstRun(site);
    const [old] = existing(site, "web");
    await setImage(BETTER);
    await world.until(() => {
      const fresh = existing(site, "web").find(({ imageRef }) => imageRef === BETTER);
      return fresh?.state.status === "RUNNING";
    }, "the new container to run");
    expect(existing(site, "web").find(({ id }) => id === old?.id)).toMatchObject({
      state: { status: "STOPPED" },
      config: { restartPolicy: { type: "NO" } },
    });
    const during = await world.condition("web", "Reconciling", "True", "Swapping");
    expect(conditionOf(during, "Ready")).toMatchObject({ status: "False", reason: "Progressing" });
    expect(during.status?.operation).toMatchObject({ type: "Swap", oldExternalId: old?.id });
    await endTrial();
    const object = await world.condition("web", "Ready", "True", "Running");
    expect(existing(site, "web")).toMatchObject([
      { imageRef: BETTER, state: { status: "RUNNING" }, config: { restartPolicy: { type: "ALWAYS" } } },
    ]);
    expect(object.status?.external?.id).toBe(existing(site, "web")[0]?.id);
    expect(object.status).toMatchObject({ restartCount: 0, applied: { generation: object.metadata.generation } });
    expect(object.status?.failed).toBeUndefined();
    await oneOperation("a swap");
    expect(sentTo(site, old?.id)).toEqual(["start", "update", "stopWithOptions", "remove"]);
    expect(everCreated(site, "web")).toHaveLength(2);
  });

  test.each([
    ["crashes", BAD, "CrashLoopBackOff", { class: "WorkloadFailed", reason: "Error", exitCode: 3 }],
    ["does not start", "registry.example/nocommand:1", "RunContainerError", { reason: "RunContainerError" }],
  ])("goes back when the new container %s, and stays there until the spec changes", async (_how, bad, reason, last) => {
    const site = await swapping();
    world.operator();
    await world.condition("web", "Ready", "True");
    const [old] = existing(site, "web");
    await setImage(bad);
    const object = await world.condition("web", "Stalled", "True", "RolledBack");
    expect(conditionOf(object, "Ready")).toMatchObject({ status: "False", reason: "OperationFailed" });
    expect(conditionOf(object, "Reconciling")).toBeUndefined();
    expect(conditionOf(object, "Synced")).toMatchObject({ status: "False", reason: "Drifted" });
    expect(object.status).toMatchObject({
      failed: { reason, generation: object.metadata.generation },
      lastFailure: { ...last, generation: object.metadata.generation },
      external: { id: old?.id },
      state: { running: {} },
      restartCount: 0,
    });
    expect(object.status?.operation).toBeUndefined();
    expect(object.status?.lastFailure?.operationId).toBeDefined();
    expect(existing(site, "web")).toMatchObject([
      { id: old?.id, state: { status: "RUNNING" }, config: { restartPolicy: { type: "ALWAYS", retryTimeout: 1 } } },
    ]);
    // Whatever wakes the object, the same generation is not tried again.
    await world.patch("edgecontainers", "web", {
      metadata: { annotations: { "edge.drayage.dev/reconcile-requested-at": "now" } },
    });
    await world.until(
      async () => (await world.getContainer("web"))?.status?.lastHandled?.reconcile === "now",
      "the request to be handled",
    );
    expect(everCreated(site, "web")).toHaveLength(2);
    expect((await warnings()).filter((warning) => warning === "RolledBack")).toHaveLength(1);
    expect(await warnings()).not.toContain("OperationFailed");
    // A new value of the retry annotation tries once more.
    await world.patch("edgecontainers", "web", { metadata: { annotations: { "edge.drayage.dev/retry": "1" } } });
    await world.until(() => everCreated(site, "web").length === 3, "one more try");
    await world.condition("web", "Stalled", "True", "RolledBack");
    expect(existing(site, "web")).toMatchObject([{ id: old?.id, state: { status: "RUNNING" } }]);
    await setImage(BETTER);
    const healed = await world.condition("web", "Ready", "True", "Running");
    expect(healed.status?.failed).toBeUndefined();
    expect(healed.status?.lastFailure).toBeUndefined();
    await oneOperation("the next spec");
    expect(existing(site, "web")).toMatchObject([{ imageRef: BETTER, state: { status: "RUNNING" } }]);
  });

  test("without rollbackOnFailure shows the failing container, and keeps the old one until the spec goes back", async () => {
    const site = await swapping({ updateStrategy: { ...SWAP, rollbackOnFailure: false } });
    world.operator();
    await world.condition("web", "Ready", "True");
    const [old] = existing(site, "web");
    await setImage(BAD);
    await world.condition("web", "Ready", "False", "CrashLoopBackOff");
    expect(existing(site, "web").find(({ id }) => id === old?.id)?.state.status).toBe("STOPPED");
    await setImage(GOOD);
    await world.condition("web", "Ready", "True", "Running");
    await oneOperation("the way back");
    expect(existing(site, "web")).toMatchObject([
      { id: old?.id, state: { status: "RUNNING" }, config: { restartPolicy: { type: "ALWAYS" } } },
    ]);
  });

  test("whose image cannot be pulled leaves the running container as it is", async () => {
    const site = await swapping();
    world.operator();
    await world.condition("web", "Ready", "True");
    const [old] = existing(site, "web");
    site.device.faults.pullFailure(BETTER, "not-found");
    await setImage(BETTER);
    await world.condition("web", "Ready", "False", "ImagePullBackOff");
    await world.until(
      async () => ((await world.getContainer("web"))?.status?.backoff?.count ?? 0) >= 2,
      "a second try",
    );
    expect(existing(site, "web")).toMatchObject([{ id: old?.id, state: { status: "RUNNING" }, processStarts: 1 }]);
    expect(sentTo(site, old?.id)).toEqual(["start"]);
    site.device.faults.pullFailure(BETTER, undefined);
    await world.condition("web", "Ready", "True", "Running");
    expect(existing(site, "web")).toMatchObject([{ imageRef: BETTER }]);
  });

  test("whose new container wants a stranger's host port waits with the old one running", async () => {
    const site = await swapping();
    world.operator();
    await world.condition("web", "Ready", "True");
    const [old] = existing(site, "web");
    const theirs = await site.device.human.create({
      name: "theirs",
      image: GOOD,
      start: true,
      config: { portMappings: [{ proto: "tcp", hostPort: 8080, containerPort: 80 }] },
    });
    await world.until(
      async () => (await world.getDevice("press"))?.status?.unmanaged?.length === 1,
      "the stranger to be seen",
    );
    await world.patch("edgecontainers", "web", { spec: { ports: [{ containerPort: 80, hostPort: 8080 }] } });
    const waiting = await world.condition("web", "Reconciling", "True", "WaitingForRelease");
    expect(conditionOf(waiting, "Reconciling")?.message).toContain("8080");
    expect(existing(site, "web")).toMatchObject([{ id: old?.id, state: { status: "RUNNING" } }]);
    await site.device.human.stop(theirs);
    await world.condition("web", "Ready", "True", "Running");
    expect(existing(site, "web")).toHaveLength(1);
  });

  test("counts a changed Secret as another spec: it is swapped in, rolled back, and tried again with the next value", async () => {
    const secrets = `/api/v1/namespaces/${world.namespace}/secrets`;
    await world.admin.create(secrets, { metadata: { name: "creds" }, stringData: { token: "one" } });
    const site = await swapping({
      env: [{ name: "TOKEN", valueFrom: { secretKeyRef: { name: "creds", key: "token" } } }],
    });
    world.operator();
    await world.condition("web", "Ready", "True");
    const [old] = existing(site, "web");
    site.device.faults.image(GOOD, { missingCommand: "/entrypoint" });
    const failedStart = world.condition("web", "Reconciling", "True", "Swapping");
    await world.admin.patch(`${secrets}/creds`, { stringData: { token: "two" } });
    await failedStart;
    // The old one starts again all the same.
    await world.until(() => existing(site, "web").some(({ state }) => state.error !== undefined), "a failed start");
    site.device.faults.image(GOOD, undefined);
    const back = await world.condition("web", "Stalled", "True", "RolledBack");
    expect(existing(site, "web")).toMatchObject([{ id: old?.id, state: { status: "RUNNING" } }]);
    await world.admin.patch(`${secrets}/creds`, { stringData: { token: "three" } });
    const object = await world.condition("web", "Ready", "True", "Running");
    expect(object.metadata.generation).toBe(back.metadata.generation);
    expect(existing(site, "web")).toHaveLength(1);
    expect(existing(site, "web")[0]?.config["env"]).toContain("TOKEN=three");
  });

  test("whose object is deleted while the new container is on trial leaves nothing", async () => {
    const site = await swapping(LONG_TRIAL);
    world.operator();
    await world.until(() => existing(site, "web")[0]?.state.status === "RUNNING", "the first container");
    await setImage(BETTER);
    await world.until(
      () => existing(site, "web").some(({ imageRef, state }) => imageRef === BETTER && state.status === "RUNNING"),
      "the trial",
    );
    await world.delete("edgecontainers", "web");
    await world.gone("edgecontainers", "web");
    expect(existing(site, "web")).toEqual([]);
  });

  test("overtaken by another spec before it is proven goes back first, and never runs two", async () => {
    const site = await swapping(LONG_TRIAL);
    world.operator();
    await world.until(() => existing(site, "web")[0]?.state.status === "RUNNING", "the first container");
    await world.patch("edgecontainers", "web", { spec: { image: BETTER } });
    await world.until(
      () => existing(site, "web").some(({ imageRef, state }) => imageRef === BETTER && state.status === "RUNNING"),
      "the trial",
    );
    await world.patch("edgecontainers", "web", {
      spec: { image: "registry.example/sleeper:3", updateStrategy: { minReadySeconds: 0 } },
    });
    await world.condition("web", "Ready", "True", "Running");
    await oneOperation("both");
    expect(existing(site, "web")).toMatchObject([{ imageRef: "registry.example/sleeper:3" }]);
  });
});

describe("a Swap with the operator killed", () => {
  test("while the new container is on trial goes on", async () => {
    const site = await swapping(LONG_TRIAL);
    const first = world.operator();
    await firstRun(site);
    await setImage(BETTER);
    await world.until(
      () => existing(site, "web").some(({ imageRef, state }) => imageRef === BETTER && state.status === "RUNNING"),
      "the trial",
    );
    first.kill("SIGKILL");
    await first.exit;
    expect(existing(site, "web")).toHaveLength(2);
    world.operator();
    await endTrial();
    await world.condition("web", "Ready", "True", "Running");
    await oneOperation("the swap");
    expect(existing(site, "web")).toMatchObject([{ imageRef: BETTER, state: { status: "RUNNING" } }]);
    expect(everCreated(site, "web")).toHaveLength(2);
  });

  test("on the way back goes on back, with the evidence gone", async () => {
    const site = await swapping();
    const first = world.operator();
    await world.condition("web", "Ready", "True");
    const [old] = existing(site, "web");
    // The last step back takes long enough to be seen.
    site.device.faults.command({ operation: "remove", effect: { kind: "delay", ms: 4_000 } });
    await setImage(BAD);
    await world.until(async () => (await operationOf())?.step === "RollingBack", "the decision");
    first.kill("SIGKILL");
    await first.exit;
    // A power cut in between: the old one is held, or back already.
    await site.device.faults.reboot();
    world.operator();
    const object = await world.condition("web", "Stalled", "True", "RolledBack");
    expect(object.status?.failed).toMatchObject({ reason: "CrashLoopBackOff" });
    expect(existing(site, "web")).toMatchObject([
      { id: old?.id, state: { status: "RUNNING" }, config: { restartPolicy: { type: "ALWAYS" } } },
    ]);
    expect(everCreated(site, "web")).toHaveLength(2);
  });
});

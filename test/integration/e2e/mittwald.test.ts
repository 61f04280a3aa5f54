import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import type { EdgeContainerSpec } from "../../../src/crds/edge-container.ts";
import { createRandom } from "../../../src/simulators/random.ts";
import { serviceSpec, startMittwaldVendor, type MittwaldVendor } from "../../support/mittwald-world.ts";
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

const apply = (name: string, spec: Partial<EdgeContainerSpec> = {}) =>
  world.create("edgecontainers", name, serviceSpec(spec));
const stack = () => vendor.simulator.platform.stack(vendor.projectId);
const service = (name: string) => stack().containers.get(name);
const writes = () => vendor.simulator.requests().filter(({ method }) => method !== "GET");
const counts = (serviceName: string) => vendor.simulator.platform.effects.counts({ serviceName, by: "api" });
const ready = (name: string) => world.condition(name, "Ready", "True", "Running");

describe("a container", () => {
  test("becomes a service, is changed, recreated, stopped, started, restarted and deleted beside others", async () => {
    vendor.simulator.human.create(stack().id, "theirs", { image: "x/y:1" });
    world.operator();
    await apply("web", {
      env: [{ name: "A", value: "1" }],
      command: ["/bin/app"],
      args: ["--fast"],
      ports: [{ containerPort: 8080, hostPort: 8080 }],
      volumes: [{ volumeName: "data", mountPath: "/data" }],
      resources: { limits: { cpu: "500m", memory: "64Mi" } },
      restartPolicy: { type: "UnlessStopped" },
    });
    const made = await ready("web");
    expect(made.status).not.toHaveProperty("operation");
    expect(conditionOf(made, "Synced")?.status).toBe("True");
    expect(made.status?.external).toMatchObject({ id: service("web")?.identity.id, name: "web" });
    expect(made.status?.resolved?.digest).toMatch(/^sha256:/);
    expect(service("web")?.declared).toMatchObject({
      entrypoint: ["/bin/app"],
      command: ["--fast"],
      environment: { A: "1" },
      ports: ["8080/tcp"],
      volumes: ["data:/data"],
      restartPolicy: "always",
      deploy: { resources: { limits: { cpus: "0.5", memory: "64m" } } },
    });

    await world.patch("edgecontainers", "web", {
      spec: { image: "registry.example/app:2", command: null, args: null },
    });
    await world.until(() => counts("web").recreated === 1, "the recreate");
    await world.until(async () => {
      const object = await world.getContainer("web");
      return object?.status?.applied?.generation === object?.metadata.generation;
    }, "the rollout");
    await ready("web");
    expect(service("web")?.declared).toMatchObject({ image: "registry.example/app:2", entrypoint: undefined });
    expect(service("web")?.requiresRecreate).toBe(false);
    expect(counts("web")).toMatchObject({ created: 1, recreated: 1 });

    await world.patch("edgecontainers", "web", { spec: { desiredState: "Stopped" } });
    await world.condition("web", "Ready", "True", "Stopped");
    expect(service("web")?.status).toBe("stopped");
    await world.patch("edgecontainers", "web", { spec: { desiredState: "Running" } });
    await ready("web");
    await world.patch("edgecontainers", "web", {
      metadata: { annotations: { "edge.drayage.dev/restartedAt": "now" } },
    });
    await world.until(() => counts("web").restarted === 1, "the restart");
    await ready("web");

    await world.delete("edgecontainers", "web");
    await world.gone("edgecontainers", "web");
    expect([...stack().containers.keys()]).toEqual(["theirs"]);
    // Its data stays.
    expect([...stack().volumes.keys()]).toEqual(["data"]);
    expect(vendor.simulator.platform.effects.counts({ serviceName: "theirs", by: "api" }).edited).toBe(0);
  });

  test("takes the volumes that only it had with it, if asked", async () => {
    world.operator();
    vendor.simulator.human.create(stack().id, "theirs", { image: "x/y:1", volumes: ["shared:/s"] });
    await apply("web", {
      volumes: [
        { volumeName: "data", mountPath: "/data" },
        { volumeName: "shared", mountPath: "/shared" },
      ],
      deletion: { deleteVolumes: true },
    });
    await ready("web");
    await world.delete("edgecontainers", "web");
    await world.gone("edgecontainers", "web");
    expect([...stack().volumes.keys()]).toEqual(["shared"]);
  });

  test("that the vendor cannot run as asked is refused with field and fix, and nothing is sent", async () => {
    world.operator();
    await apply("web", {
      ports: [{ containerPort: 80, hostPort: 8080 }],
      restartPolicy: { type: "OnFailure", maxRetries: 3 },
    });
    const object = await world.condition("web", "Stalled", "True");
    expect(conditionOf(object, "Stalled")?.message).toMatch(
      /restartPolicy\.maxRetries: .*leave maxRetries out.*ports\[0\]\.hostPort: .*write 80 instead of 8080/,
    );
    expect(writes()).toEqual([]);
  });

  test("that the vendor refuses shows its words", async () => {
    world.operator();
    await apply("web", { volumes: [{ hostPath: "/home/p-nobody/x", mountPath: "/x" }] });
    const object = await world.condition("web", "Stalled", "True");
    expect(conditionOf(object, "Stalled")?.message).toMatch(/services\.services\.web\.volumes.*is not below/);
  });

  test("of a Secret's values says that they can be read at the vendor", async () => {
    world.operator();
    await world.admin.create(`/api/v1/namespaces/${world.namespace}/secrets`, {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "login" },
      stringData: { password: "hunter22-secret" },
    });
    await apply("web", { env: [{ name: "P", valueFrom: { secretKeyRef: { name: "login", key: "password" } } }] });
    const object = await ready("web");
    expect(conditionOf(object, "SecretExposure")?.status).toBe("True");
    expect(JSON.stringify(object)).not.toContain("hunter22");
  });
});

describe("drift", () => {
  test("of the spec is set right with a new container, and of the run state by a start", async () => {
    world.operator();
    await apply("web");
    await ready("web");
    vendor.simulator.human.edit(`${stack().id}/web`, { image: "registry.example/other:1" });
    await world.until(() => service("web")?.declared.image === "registry.example/app:1", "the image");
    await ready("web");
    vendor.simulator.human.act(`${stack().id}/web`, "stop");
    await world.until(() => counts("web").started === 1, "the start");
    await ready("web");
    // What was declared back before anybody made a container of it needs none.
    expect(counts("web")).toMatchObject({ recreated: 0 });
  });

  test("of the image is pulled with imagePullPolicy Always, at a restart", async () => {
    world.operator();
    await apply("web", { imagePullPolicy: "Always" });
    const before = await ready("web");
    vendor.simulator.platform.images.push("registry.example/app:1");
    await world.patch("edgecontainers", "web", {
      metadata: { annotations: { "edge.drayage.dev/restartedAt": "now" } },
    });
    await world.until(() => counts("web").pulled === 1, "the pull");
    await world.until(async () => {
      const digest = (await world.getContainer("web"))?.status?.resolved?.digest;
      return digest !== undefined && digest !== before.status?.resolved?.digest;
    }, "the new digest");
    expect(counts("web")).toMatchObject({ pulled: 1, restarted: 0 });
  });

  test("of the vendor's own schedule is none", async () => {
    world.operator();
    await apply("web");
    const before = await ready("web");
    vendor.simulator.platform.images.push("registry.example/app:1");
    const sent = writes().length;
    vendor.simulator.platform.runSchedule(stack());
    await world.until(async () => {
      const object = await world.getContainer("web");
      return (
        object?.status?.resolved?.digest !== before.status?.resolved?.digest &&
        conditionOf(object, "Ready")?.status === "True"
      );
    }, "the new image");
    expect(writes()).toHaveLength(sent);
    expect((await world.getContainer("web"))?.status?.backoff).toBeUndefined();
  });

  test("is only reported where that is asked for", async () => {
    world.operator();
    await apply("web", { driftPolicy: "Report" });
    await ready("web");
    vendor.simulator.human.edit(`${stack().id}/web`, { image: "registry.example/other:1" });
    await world.condition("web", "Synced", "False", "Drifted");
    expect(service("web")?.declared.image).toBe("registry.example/other:1");
  });
});

describe("failures", () => {
  test("of an image are told before anything is made, and mended by the spec", async () => {
    world.operator();
    await apply("web", { image: "registry.example/absent:1" });
    const object = await world.condition("web", "Ready", "False", "ImagePullBackOff");
    expect(conditionOf(object, "ImageAvailable")).toMatchObject({ status: "False", reason: "PullFailed" });
    expect(stack().containers.size).toBe(0);
    await world.patch("edgecontainers", "web", { spec: { image: "registry.example/app:1" } });
    await ready("web");
  });

  test("of the whole API are waited for, and only the newest wish is carried out, once", async () => {
    world.operator();
    await apply("web");
    await ready("web");
    const back = await vendor.simulator.outage();
    await world.condition("web", "Ready", "Unknown", "BackendUnreachable");
    await world.patch("edgecontainers", "web", { spec: { image: "registry.example/app:2" } });
    await world.patch("edgecontainers", "web", { spec: { image: "registry.example/app:3" } });
    await back();
    await world.until(() => service("web")?.declared.image === "registry.example/app:3", "the newest image");
    await world.until(() => service("web")?.requiresRecreate === false, "its rollout");
    await ready("web");
    expect(counts("web")).toMatchObject({ created: 1, edited: 1, recreated: 1 });
  });

  test("of the token close the account for all, and are over with a new one", async () => {
    world.operator();
    await apply("web");
    await ready("web");
    vendor.simulator.setToken("another-token");
    await world.condition("web", "Ready", "Unknown", "BackendUnreachable");
    await world.admin.patch(`/api/v1/namespaces/${world.namespace}/secrets/mittwald`, {
      stringData: { token: "another-token" },
    });
    await ready("web");
    expect(writes()).toHaveLength(1);
  });

  test("of an image in a change leave what runs as it is", async () => {
    world.operator();
    await apply("web");
    await ready("web");
    await world.patch("edgecontainers", "web", { spec: { image: "registry.example/absent:1" } });
    await world.condition("web", "Ready", "False", "ImagePullBackOff");
    expect(service("web")).toMatchObject({ status: "running", requiresRecreate: false });
  });

  test("of a process that ends again and again are a crash loop, and nothing is sent about it", async () => {
    vendor.simulator.platform.images.set("registry.example/crasher:1", { exit: { code: 1, afterMs: 1_500 } });
    world.operator();
    await apply("web", { image: "registry.example/crasher:1", updateStrategy: { minReadySeconds: 5 } });
    const object = await world.condition("web", "Ready", "False", "CrashLoopBackOff");
    expect(object.status?.restartCount).toBeGreaterThanOrEqual(2);
    expect(writes()).toHaveLength(1);
  });

  test("of a one-shot process: what has ended under restartPolicy No stays so", async () => {
    vendor.simulator.platform.images.set("registry.example/job:1", { exit: { code: 0, afterMs: 200 } });
    vendor.simulator.platform.images.set("registry.example/badjob:1", { exit: { code: 2, afterMs: 200 } });
    world.operator();
    await apply("job", { image: "registry.example/job:1", restartPolicy: { type: "No" } });
    await apply("badjob", { image: "registry.example/badjob:1", restartPolicy: { type: "No" } });
    await world.condition("job", "Ready", "True", "Completed");
    await world.condition("badjob", "Ready", "False", "Failed");
    expect(counts("job").started + counts("badjob").started).toBe(0);
  });
});

describe("what nobody here has declared", () => {
  test("is listed in the EdgeDevice: services, stacks and volumes", async () => {
    vendor.simulator.human.create(stack().id, "theirs", { image: "x/y:1", volumes: ["pictures:/p"] });
    const [project] = vendor.simulator.platform.projects();
    if (project === undefined) throw new Error("no project");
    vendor.simulator.platform.createStack(project, "Somebody's shop");
    world.operator();
    await apply("web", { volumes: [{ volumeName: "data", mountPath: "/data" }] });
    await ready("web");
    await world.until(async () => {
      const device = await world.getDevice("site");
      const found = (device?.status?.unmanaged ?? []).map(({ kind = "Container", name }) => `${kind} ${name}`).sort();
      return JSON.stringify(found) === JSON.stringify(["Container theirs", "Stack Somebody's shop", "Volume pictures"]);
    }, "the list");
  });

  test("is adopted by name where asked for, and marked with the first change", async () => {
    vendor.simulator.human.create(stack().id, "theirs", { image: "registry.example/app:1", description: "Old shop" });
    world.operator();
    await apply("theirs");
    await world.condition("theirs", "Reconciling", "True");
    expect(writes()).toEqual([]);
    await world.patch("edgecontainers", "theirs", { spec: { adoption: { policy: "ByName" } } });
    await ready("theirs");
    expect(writes()).toEqual([]);
    await world.patch("edgecontainers", "theirs", { spec: { env: [{ name: "A", value: "1" }] } });
    await world.until(() => service("theirs")?.declared.environment.A === "1", "the change");
    expect(service("theirs")?.declared.description).toMatch(/^Old shop \[drayage:/);
    await ready("theirs");
    expect(counts("theirs")).toMatchObject({ created: 0, recreated: 1 });
  });
});

describe("a human at the same stack", () => {
  test("throughout all faults finds what is theirs as they left it", async () => {
    const { simulator } = vendor;
    const { human } = simulator;
    const id = stack().id;
    const random = createRandom("a human");
    // What the human believes to have: name to image.
    const theirs = new Map<string, string>();
    const edit = (): void => {
      const name = `human-${random.integer(5)}`;
      const image = `x/y:${random.integer(1000)}`;
      if (!theirs.has(name)) human.create(id, name, { image, volumes: [`${name}:/data`] });
      else if (random.integer(4) === 0) {
        human.remove(`${id}/${name}`);
        theirs.delete(name);
        return;
      } else human.edit(`${id}/${name}`, { image });
      theirs.set(name, image);
    };
    const effects = [
      { kind: "reset", when: "after" },
      { kind: "reset", when: "before" },
      { kind: "cut" },
      { kind: "answer", when: "after", status: 502 },
      { kind: "answer", when: "before", status: 500 },
      { kind: "duplicate", ms: 20 },
      { kind: "pretend" },
    ] as const;
    simulator.quirks.lagMs = 100;
    world.operator();
    for (const name of ["a", "b"]) {
      await apply(`ours-${name}`, { volumes: [{ volumeName: `v-${name}`, mountPath: "/d" }] });
      await world.until(() => service(`ours-${name}`) !== undefined, "our service");
    }
    for (let round = 0; round < 14; round++) {
      const effect = effects[round % effects.length];
      if (effect !== undefined) simulator.fault({ match: "writes", effect });
      simulator.fault({ match: "get-stack", effect: { kind: "run", run: edit } });
      edit();
      const name = `ours-${round % 2 === 0 ? "a" : "b"}`;
      await world.patch("edgecontainers", name, { spec: { env: [{ name: "ROUND", value: String(round) }] } });
      if (round % 3 === 0) human.edit(`${id}/${name}`, { description: "mine now?" });
      await world.until(() => service(name)?.declared.environment.ROUND === String(round), `round ${round}`);
    }
    simulator.clearFaults();
    await ready("ours-a");
    await ready("ours-b");
    await world.delete("edgecontainers", "ours-a");
    await world.gone("edgecontainers", "ours-a");
    const left = [...stack().containers].filter(([name]) => name.startsWith("human-"));
    expect(new Map(left.map(([name, { declared }]) => [name, declared.image]))).toEqual(theirs);
    for (const name of theirs.keys()) {
      expect(simulator.platform.effects.list({ serviceName: name, by: "api" })).toEqual([]);
      expect(stack().volumes.has(name)).toBe(true);
    }
    expect([...stack().containers.keys()].filter((name) => name.startsWith("ours-"))).toEqual(["ours-b"]);
    expect(counts("ours-a").created).toBe(1);
  }, 180_000);
});

describe("a mark that is edited out while the operator is away", () => {
  const awayWhile = async (happens: () => void): Promise<void> => {
    const first = world.operator();
    await apply("web");
    const object = await ready("web");
    expect(object.status?.external).toMatchObject({ marked: true });
    first.kill("SIGKILL");
    await first.exit;
    happens();
  };

  test("is put back, and the words stay", async () => {
    await awayWhile(() => vendor.simulator.human.edit(`${stack().id}/web`, { description: "Kim's web" }));
    world.operator();
    await world.until(
      () => service("web")?.declared.description.startsWith("Kim's web [drayage:") === true,
      "the mark",
    );
    await ready("web");
    expect(counts("web")).toMatchObject({ created: 1, recreated: 0 });
    await world.delete("edgecontainers", "web");
    await world.gone("edgecontainers", "web");
    expect(stack().containers.size).toBe(0);
  });

  test("does not save the service from a deletion", async () => {
    await awayWhile(() => vendor.simulator.human.edit(`${stack().id}/web`, { description: "Kim's web" }));
    await world.delete("edgecontainers", "web");
    world.operator();
    await world.gone("edgecontainers", "web");
    expect(stack().containers.size).toBe(0);
  });

  test("says nothing about a service that somebody has made anew under the name", async () => {
    await awayWhile(() => {
      vendor.simulator.human.remove(`${stack().id}/web`);
      vendor.simulator.human.create(stack().id, "web", { image: "x/y:1" });
    });
    await world.delete("edgecontainers", "web");
    world.operator();
    await world.gone("edgecontainers", "web");
    expect(service("web")?.declared.image).toBe("x/y:1");
  });
});

test("a deletion does not end with a list that is older than what was recorded", async () => {
  vendor.simulator.quirks.listLagMs = 1_000_000_000;
  const first = world.operator();
  await apply("web");
  await world.until(async () => (await world.getContainer("web"))?.status?.external !== undefined, "the record");
  first.kill("SIGKILL");
  await first.exit;
  await world.delete("edgecontainers", "web");
  const lists = () => vendor.simulator.requests().filter(({ operation }) => operation === "list-stacks").length;
  const before = lists();
  world.operator("--settle-time=15s");
  await world.until(() => lists() - before >= 5, "lists without the service");
  expect(await world.getContainer("web")).toBeDefined();
  vendor.simulator.quirks.listLagMs = 0;
  await world.gone("edgecontainers", "web");
  expect(stack().containers.size).toBe(0);
});

test("a cluster that was lost finds its services again and makes no second one", async () => {
  const first = world.operator();
  await apply("web");
  await ready("web");
  const id = service("web")?.identity.id;
  first.kill("SIGTERM");
  await first.exit;
  // The object comes back with another uid and without a status.
  await world.patch("edgecontainers", "web", { metadata: { finalizers: null } });
  await world.delete("edgecontainers", "web");
  await world.gone("edgecontainers", "web");
  await apply("web");
  world.operator();
  const again = await ready("web");
  expect(again.status?.external?.id).toBe(id);
  expect(counts("web")).toMatchObject({ created: 1, recreated: 0 });
});

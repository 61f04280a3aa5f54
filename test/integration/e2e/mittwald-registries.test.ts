/** EdgeRegistry on mittwald, where a login is an object of the project: made, rotated, removed, and nobody else's touched. */
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import type { EdgeRegistry } from "../../../src/crds/edge-registry.ts";
import { serviceSpec, startMittwaldVendor, TOKEN, type MittwaldVendor } from "../../support/mittwald-world.ts";
import { conditionOf, World } from "../../support/world.ts";

const PASSWORD = "hunter22-do-not-show";
const REPLACED = "hunter33-do-not-show";
const HOST = "registry.example";

let world: World;
let vendor: MittwaldVendor;
beforeEach(async () => {
  world = await World.create({ kubeconfig: inject("controlPlane").kubeconfig });
  vendor = await startMittwaldVendor(world, { quirks: { lagMs: 100, listLagMs: 200, credentialsCheckMs: 300 } });
});
afterEach(async () => {
  await world[Symbol.asyncDispose]();
  await vendor[Symbol.asyncDispose]();
});

const secretPath = (name = "") => `/api/v1/namespaces/${world.namespace}/secrets/${name}`;
const secret = (name: string, stringData: Record<string, string>, type = "basic-auth") =>
  world.admin.create(secretPath(), {
    apiVersion: "v1",
    kind: "Secret",
    type: `kubernetes.io/${type}`,
    metadata: { name },
    stringData,
  });
const login = (password = PASSWORD) => secret("login", { username: "robot", password });
const pullSecret = (name: string, hosts: readonly string[], password = PASSWORD) =>
  secret(
    name,
    {
      ".dockerconfigjson": JSON.stringify({
        auths: Object.fromEntries(hosts.map((host) => [host, { auth: btoa(`puller:${password}`) }])),
      }),
    },
    "dockerconfigjson",
  );
const registry = (name: string, host = HOST) =>
  world.create("edgeregistries", name, {
    host,
    credentialsSecretRef: { name: "login" },
    backendRefs: [{ name: "mittwald" }],
  });

/** As they are. */
const rows = () => vendor.simulator.platform.registries.of(vendor.projectId);
const row = (uri = HOST) => rows().find((each) => each.uri === uri);
const stored = (host = HOST) => vendor.simulator.platform.registries.login(vendor.projectId, host);
const asked = (operation: string) =>
  vendor.simulator.requests().filter((request) => request.operation === operation).length;

async function until(name: string, type: string, status: string, reason?: string): Promise<EdgeRegistry> {
  let last: EdgeRegistry | undefined;
  await world.until(
    async () => {
      last = await world.get<EdgeRegistry>("edgeregistries", name);
      const found = conditionOf(last, type);
      return (
        found?.status === status &&
        found.observedGeneration === last?.metadata.generation &&
        (reason === undefined || found.reason === reason)
      );
    },
    () => `${name}: ${type}=${status} ${reason ?? ""}; last seen ${JSON.stringify(last?.status, null, 1)}`,
  );
  if (last === undefined) throw new Error("unreachable");
  return last;
}

async function all(plural: string): Promise<EdgeRegistry[]> {
  const path = `/apis/edge.drayage.dev/v1alpha1/namespaces/${world.namespace}/${plural}`;
  return (await world.admin.get<{ items: EdgeRegistry[] }>(path)).body.items;
}

/** Everything that a reader of the API, or of the operator's log, could see. */
async function shown(operator: { stdout: string; stderr: string }): Promise<string> {
  const objects = await Promise.all(["edgeregistries", "edgecontainers", "edgedevices", "edgebackends"].map(all));
  const events = await world.admin.get(`/apis/events.k8s.io/v1/namespaces/${world.namespace}/events`);
  return operator.stdout + operator.stderr + JSON.stringify([objects, events.body]);
}

describe("a registry of our own", () => {
  test("is made once, its login rotated without a restart, told to be invalid and valid, and removed", async () => {
    const operator = world.operator();
    const before = rows();
    await login();
    await registry("acme");
    const made = await until("acme", "Ready", "True", "Ready");
    expect(made.status?.projects).toMatchObject([{ state: "Ready", origin: "Created", registryId: row()?.id }]);
    expect(made.status?.backends).toMatchObject([{ name: "mittwald", use: "PerProject" }]);
    expect(row()?.description).toBe(
      `acme [drayage:${world.ownerId}/${world.namespace}/acme/${made.metadata.uid}/created]`,
    );
    expect(stored()).toEqual({ username: "robot", password: PASSWORD });
    await until("acme", "CredentialsValid", "True", "Valid");

    await world.admin.patch(secretPath("login"), { stringData: { password: "wrong" } });
    await world.until(() => stored()?.password === "wrong", "the rotated password");
    await until("acme", "CredentialsValid", "False", "Invalid");
    await world.admin.patch(secretPath("login"), { stringData: { username: "other", password: REPLACED } });
    await world.until(() => stored()?.password === REPLACED, "the second password");
    await until("acme", "CredentialsValid", "True", "Valid");
    await until("acme", "Ready", "True");
    expect(row()).toMatchObject({ id: made.status?.projects?.[0]?.registryId, credentials: { username: "other" } });
    expect(asked("create-registry")).toBe(1);
    expect(asked("delete-registry")).toBe(0);

    await world.delete("edgeregistries", "acme");
    await world.gone("edgeregistries", "acme");
    expect(rows()).toEqual(before);
    const text = await shown(operator);
    expect(text).not.toContain("do-not-show");
    expect(text).not.toContain(TOKEN);
  });

  test("comes and goes with the EdgeDevices that name a project, and comes back when somebody removes it", async () => {
    world.operator();
    await login();
    await registry("acme");
    const before = await until("acme", "Ready", "True");
    vendor.simulator.human.call("delete-registry", { registryId: row()?.id ?? "" });
    await world.until(
      () => row() !== undefined && row()?.id !== before.status?.projects?.[0]?.registryId,
      "the registry made again",
    );
    await until("acme", "Ready", "True");
    await world.delete("edgedevices", "site");
    await world.gone("edgedevices", "site");
    await world.until(() => row() === undefined, "the registry to go with the project's last device");
    const idle = await until("acme", "Ready", "True");
    expect(conditionOf(idle, "Ready")?.message).toContain("no EdgeDevice");
  });

  test("is not made by way of an EdgeDevice that is refused, until that takes over", async () => {
    world.operator();
    await login();
    await world.create("edgebackends", "second", {
      mittwald: { url: vendor.proxy.url },
      credentialsSecretRef: { name: "mittwald" },
      observeIntervalSeconds: 1,
    });
    const made = Date.parse((await world.getDevice("site"))?.metadata.creationTimestamp ?? "");
    await world.until(() => Date.now() >= made + 1_000, "a second in which the next one is younger");
    await world.create("edgedevices", "guest", {
      backendRef: { name: "second" },
      mittwald: { projectId: vendor.projectId },
    });
    const stalled = async () => conditionOf(await world.getDevice("guest"), "Stalled");
    await world.until(async () => (await stalled())?.reason === "DuplicateTarget", "that it is refused");
    await world.create("edgeregistries", "acme", {
      host: HOST,
      credentialsSecretRef: { name: "login" },
      backendRefs: [{ name: "second" }],
    });
    const backends = async () => (await world.get<EdgeRegistry>("edgeregistries", "acme"))?.status?.backends ?? [];
    await world.until(
      async () => (await backends())[0]?.message?.includes("not refused") === true,
      "the EdgeRegistry to say that nothing is to be done",
    );
    expect(asked("create-registry")).toBe(0);
    await world.delete("edgedevices", "site");
    await until("acme", "Ready", "True");
    await world.until(() => row() !== undefined, "the login");
    expect(asked("create-registry")).toBe(1);
  });

  test("of a project that two EdgeDevices name in its two spellings is one, and stays until the last of them has gone", async () => {
    world.operator();
    await login();
    await registry("acme");
    await until("acme", "Ready", "True");
    await world.create("edgedevices", "other", {
      backendRef: { name: "mittwald" },
      mittwald: {
        projectId: vendor.simulator.platform.projects()[0]?.shortId,
        stackId: "00000000-0000-4000-8000-000000000000",
      },
    });
    const projects = async () => (await world.get<EdgeRegistry>("edgeregistries", "acme"))?.status?.projects ?? [];
    const standing = (count: number) => async () => {
      const all = await projects();
      return (
        all.length === count && all.every(({ state, registryId }) => state === "Ready" && registryId === row()?.id)
      );
    };
    await world.until(standing(2), "both spellings");
    await world.delete("edgedevices", "site");
    await world.gone("edgedevices", "site");
    await world.until(standing(1), "one spelling to be left");
    expect([asked("create-registry"), asked("delete-registry")]).toEqual([1, 0]);
    await world.delete("edgedevices", "other");
    await world.until(() => row() === undefined, "the registry to go with the last");
  });

  test.each([
    ["before its effect", "before"],
    ["after its effect", "after"],
  ] as const)("is made once although the answer is lost %s", async (_, when) => {
    vendor.simulator.fault({ match: "create-registry", effect: { kind: "reset", when } });
    world.operator();
    await login();
    await registry("acme");
    await until("acme", "Ready", "True");
    expect(rows().filter(({ uri }) => uri === HOST)).toHaveLength(1);
    expect(asked("create-registry")).toBe(when === "before" ? 2 : 1);
    expect(stored()?.password).toBe(PASSWORD);
  });
});

describe("a registry that every project has", () => {
  test("gets the login, and is afterwards as it was; the others are never touched", async () => {
    const before = rows();
    world.operator();
    await login();
    await registry("hub", "docker.io");
    const made = await until("hub", "Ready", "True");
    expect(made.status?.projects).toMatchObject([{ origin: "Default", registryId: row("index.docker.io")?.id }]);
    expect(stored("index.docker.io")).toEqual({ username: "robot", password: PASSWORD });
    expect(rows().filter(({ uri }) => uri !== "index.docker.io")).toEqual(
      before.filter(({ uri }) => uri !== "index.docker.io"),
    );
    await world.delete("edgeregistries", "hub");
    await world.gone("edgeregistries", "hub");
    expect(rows()).toEqual(before);
    expect(asked("delete-registry") + asked("create-registry")).toBe(0);
  });

  test("keeps the login that a human put in place of ours, mark or not, also when the object is deleted", async () => {
    const before = rows();
    world.operator();
    await login();
    await registry("hub", "ghcr.io");
    await until("hub", "Ready", "True");
    const theirs = { username: "kim", password: "theirs" };
    vendor.simulator.human.call("update-registry", { registryId: row("ghcr.io")?.id ?? "" }, { credentials: theirs });
    const refused = await until("hub", "Ready", "False", "Conflict");
    expect(conditionOf(refused, "Ready")?.message).toContain("somebody has given another login");
    await world.delete("edgeregistries", "hub");
    await world.gone("edgeregistries", "hub");
    expect(stored("ghcr.io")).toEqual(theirs);
    expect(rows().map(({ uri, description }) => [uri, description])).toEqual(
      before.map(({ uri, description }) => [uri, description]),
    );
  });

  test("keeps the login that a human gave it: a conflict, which ends when they take it out", async () => {
    const id = row("ghcr.io")?.id ?? "";
    vendor.simulator.human.call(
      "update-registry",
      { registryId: id },
      { credentials: { username: "kim", password: "theirs" } },
    );
    const before = rows();
    world.operator();
    await login();
    await registry("hub", "ghcr.io");
    const refused = await until("hub", "Ready", "False", "Conflict");
    expect(conditionOf(refused, "Ready")?.message).toContain("somebody has given a login");
    expect(conditionOf(refused, "Reconciling")).toMatchObject({ reason: "WaitingForRelease" });
    expect(rows()).toEqual(before);
    vendor.simulator.human.call("update-registry", { registryId: id }, { credentials: null });
    await until("hub", "Ready", "True");
    expect(stored("ghcr.io")?.username).toBe("robot");
  });
});

describe("a registry of somebody else", () => {
  test("is left alone, also when the EdgeRegistry is deleted", async () => {
    const credentials = { username: "kim", password: "theirs" };
    vendor.simulator.human.call(
      "create-registry",
      { projectId: vendor.projectId },
      { uri: HOST, description: "Kim's", credentials },
    );
    const before = rows();
    world.operator();
    await login();
    await registry("acme");
    await until("acme", "Ready", "False", "Conflict");
    await world.delete("edgeregistries", "acme");
    await world.gone("edgeregistries", "acme");
    expect(rows()).toEqual(before);
    expect(stored()).toEqual(credentials);
  });

  test("in another namespace is one, too: the first has it, the second has it after the first has gone", async () => {
    await using other = await World.create({ kubeconfig: inject("controlPlane").kubeconfig });
    // Its own simulator is never asked: the same account, the same project.
    await using unused = await startMittwaldVendor(
      other,
      { projects: [{ id: vendor.projectId }] },
      { mittwald: { url: vendor.simulator.url } },
    );
    await other.admin.create(`/api/v1/namespaces/${other.namespace}/secrets`, {
      metadata: { name: "login" },
      stringData: { username: "other", password: REPLACED },
    });
    world.operator();
    await login();
    await registry("acme");
    await until("acme", "Ready", "True");
    other.operator("--no-owner-id", `--owner-id=${world.ownerId}`);
    await other.create("edgeregistries", "acme", {
      host: HOST,
      credentialsSecretRef: { name: "login" },
      backendRefs: [{ name: "mittwald" }],
    });
    const reasonThere = async () =>
      conditionOf(await other.get<EdgeRegistry>("edgeregistries", "acme"), "Ready") ?? { reason: "", message: "" };
    await other.until(async () => (await reasonThere()).reason === "Conflict", "the conflict");
    expect((await reasonThere()).message).toContain(`belongs to EdgeRegistry ${world.namespace}/acme`);
    expect(stored()?.username).toBe("robot");
    await world.delete("edgeregistries", "acme");
    await world.gone("edgeregistries", "acme");
    await other.until(() => stored()?.username === "other", "the second to have it");
    expect(row()?.description).toContain(`/${other.namespace}/acme/`);
    expect(rows().filter(({ uri }) => uri === HOST)).toHaveLength(1);
    expect(unused.simulator.requests()).toEqual([]);
  });
});

test("nothing is changed on a suspended backend, nor with --read-only; a removal goes on while suspended", async () => {
  const before = rows();
  await world.patch("edgebackends", "mittwald", { spec: { suspend: true } });
  const reader = world.operator("--read-only");
  await login();
  await registry("acme");
  const read = await until("acme", "Suspended", "True");
  expect(conditionOf(read, "Suspended")?.message).toContain("--read-only");
  reader.kill("SIGTERM");
  await reader.exit;
  world.operator();
  await world.until(async () => {
    const object = await world.get<EdgeRegistry>("edgeregistries", "acme");
    return conditionOf(object, "Suspended")?.message === "EdgeBackend mittwald is suspended";
  }, "the suspended backend to be said");
  expect(rows()).toEqual(before);
  await world.patch("edgebackends", "mittwald", { spec: { suspend: false } });
  const running = await until("acme", "Ready", "True");
  expect(conditionOf(running, "Suspended")).toBeUndefined();
  await world.patch("edgebackends", "mittwald", { spec: { suspend: true } });
  await world.delete("edgeregistries", "acme");
  await world.gone("edgeregistries", "acme");
  expect(rows()).toEqual(before);
});

describe("what the vendor refuses is said, and nothing is pretended:", () => {
  test("a host that does not answer", async () => {
    world.operator();
    await login();
    await registry("down", "down.invalid");
    const refused = await until("down", "Ready", "False", "OperationFailed");
    expect(conditionOf(refused, "Ready")?.message).toMatch(/412.*not reachable/);
    expect(conditionOf(refused, "Reconciling")).toMatchObject({ reason: "BackingOff" });
    expect(refused.status?.projects?.[0]).toMatchObject({ state: "Failed", failures: 1 });
    await world.delete("edgeregistries", "down");
    await world.gone("edgeregistries", "down");
  });

  test("a host with a path, which mittwald does not know", async () => {
    world.operator();
    await login();
    await registry("acme", `${HOST}/acme`);
    const refused = await until("acme", "Ready", "False", "Unsupported");
    expect(conditionOf(refused, "Stalled")?.message).toContain("leave the path out of spec.host");
    expect(asked("create-registry")).toBe(0);
  });
});

describe("an EdgeContainer", () => {
  test("with registryRefs is declared only once its login stands in the project, and stays Ready while that is rotated, removed and gone", async () => {
    world.operator();
    await world.create(
      "edgecontainers",
      "web",
      serviceSpec({ image: `${HOST}/private:1`, registryRefs: [{ name: "acme" }] }),
    );
    await world.condition("web", "Accepted", "False", "RegistryNotFound");
    await registry("acme");
    const waiting = await world.condition("web", "Accepted", "False", "RegistryNotReady");
    expect(conditionOf(waiting, "Reconciling")).toMatchObject({ reason: "WaitingForReference" });
    expect(asked("update-stack")).toBe(0);
    await login();
    const running = await world.condition("web", "Ready", "True", "Running");
    await world.admin.patch(secretPath("login"), { stringData: { password: REPLACED } });
    await world.until(() => stored()?.password === REPLACED, "the rotated password");
    await until("acme", "Ready", "True");
    vendor.simulator.human.call("delete-registry", { registryId: row()?.id ?? "" });
    await world.until(() => row() !== undefined, "the registry made again");
    await until("acme", "Ready", "True");
    await world.delete("edgeregistries", "acme");
    await world.gone("edgeregistries", "acme");
    await world.patch("edgecontainers", "web", {
      metadata: { annotations: { "edge.drayage.dev/reconcile-requested-at": "now" } },
    });
    await world.until(
      async () => (await world.getContainer("web"))?.status?.lastHandled?.reconcile === "now",
      "a look without the EdgeRegistry",
    );
    const object = await world.condition("web", "Ready", "True", "Running");
    expect(conditionOf(object, "Ready")).toEqual(conditionOf(running, "Ready"));
    expect(object.status?.restartCount ?? 0).toBe(0);
    expect(vendor.simulator.platform.effects.counts({ serviceName: "web" })).toMatchObject({
      created: 1,
      downtimes: 0,
    });
  });

  test("with imagePullSecrets for a host that an EdgeRegistry has already is told to name that", async () => {
    world.operator();
    await login();
    await registry("acme");
    await until("acme", "Ready", "True");
    await pullSecret("pull", [HOST]);
    const spec = serviceSpec({ image: `${HOST}/private:1`, imagePullSecrets: [{ name: "pull" }] });
    await world.create("edgecontainers", "web", spec);
    await world.until(async () => {
      const object = await world.condition("web", "Accepted", "False", "RegistryNotReady");
      return (
        conditionOf(object, "Accepted")?.message.includes(`belongs to EdgeRegistry ${world.namespace}/acme`) === true
      );
    }, "the conflict to be said");
    expect(stored()?.username).toBe("robot");
    await world.patch("edgecontainers", "web", { spec: { registryRefs: [{ name: "acme" }] } });
    await world.condition("web", "Ready", "True", "Running");
  });

  test("with imagePullSecrets gets an EdgeRegistry, shared by all who need the same, and gone with the last", async () => {
    const before = rows();
    const operator = world.operator();
    await pullSecret("pull", [HOST, "https://index.docker.io/v1/"]);
    const spec = serviceSpec({ image: `${HOST}/private:1`, imagePullSecrets: [{ name: "pull" }] });
    await world.create("edgecontainers", "one", spec);
    await world.create("edgecontainers", "two", spec);
    await world.create("edgecontainers", "other", serviceSpec({ ...spec, image: "quay.io/app:1" }));
    for (const name of ["one", "two", "other"]) await world.condition(name, "Ready", "True", "Running");
    const made = await all("edgeregistries");
    expect(made).toMatchObject([
      { metadata: { labels: { "edge.drayage.dev/pull-secret": "true" } }, spec: { host: HOST } },
    ]);
    expect(stored()).toEqual({ username: "puller", password: PASSWORD });

    await world.admin.patch(secretPath("pull"), {
      stringData: { ".dockerconfigjson": JSON.stringify({ auths: { [HOST]: { auth: btoa(`puller:${REPLACED}`) } } }) },
    });
    await world.until(() => stored()?.password === REPLACED, "the rotated password");
    await world.delete("edgecontainers", "one");
    await world.gone("edgecontainers", "one");
    expect(await all("edgeregistries")).toHaveLength(1);
    await world.delete("edgecontainers", "two");
    await world.until(async () => (await all("edgeregistries")).length === 0, "the EdgeRegistry to go");
    expect(rows()).toEqual(before);
    expect(await shown(operator)).not.toContain("do-not-show");
  });
});

test("deleting the namespace's objects in any order takes the login out before the account goes", async () => {
  const before = rows();
  world.operator();
  await login();
  await registry("acme");
  await until("acme", "Ready", "True");
  await world.admin.delete(secretPath("login"));
  await world.admin.delete(secretPath("mittwald"));
  await world.delete("edgebackends", "mittwald");
  await world.delete("edgedevices", "site");
  await world.delete("edgeregistries", "acme");
  for (const [plural, name] of [
    ["edgeregistries", "acme"],
    ["edgedevices", "site"],
    ["edgebackends", "mittwald"],
  ] as const)
    await world.gone(plural, name);
  expect(rows()).toEqual(before);
});

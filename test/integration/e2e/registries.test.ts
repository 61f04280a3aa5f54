/** EdgeRegistry where the login goes with the container (Hiveon), and where the vendor takes none (Kanto, ALPON). */
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import type { EdgeContainerSpec } from "../../../src/crds/edge-container.ts";
import type { EdgeRegistry } from "../../../src/crds/edge-registry.ts";
import { startAlponVendor } from "../../support/alpon-world.ts";
import { rentalsOf, rentalSpec, startVendor, type Vendor } from "../../support/hiveon-world.ts";
import { conditionOf, existing, World } from "../../support/world.ts";

const PASSWORD = "hunter22-do-not-show";
const REPLACED = "hunter33-do-not-show";

let world: World;
let vendor: Vendor;
beforeEach(async () => {
  world = await World.create({ kubeconfig: inject("controlPlane").kubeconfig });
  vendor = await startVendor(world, ["rig-1"]);
});
afterEach(async () => {
  await world[Symbol.asyncDispose]();
  await vendor[Symbol.asyncDispose]();
});

const secret = (name: string, type: string, stringData: Record<string, string>) =>
  world.admin.create(`/api/v1/namespaces/${world.namespace}/secrets`, {
    apiVersion: "v1",
    kind: "Secret",
    type: `kubernetes.io/${type}`,
    metadata: { name },
    stringData,
  });
const basicAuth = (name: string, password = PASSWORD) =>
  secret(name, "basic-auth", { username: `${name}-user`, password });
const registry = (name: string, host: string, backends: readonly string[], secretName = name) =>
  world.create("edgeregistries", name, {
    host,
    credentialsSecretRef: { name: secretName },
    backendRefs: backends.map((each) => ({ name: each })),
  });
const rent = (name: string, spec: Partial<EdgeContainerSpec>) =>
  world.create("edgecontainers", name, rentalSpec("rig-1", spec));
const dockerAuth = (name: string) => rentalsOf(vendor.simulator, name)[0]?.request["container_config"];

async function ready(name: string, status: string, reason: string): Promise<EdgeRegistry> {
  let last: EdgeRegistry | undefined;
  await world.until(
    async () => {
      last = await world.get<EdgeRegistry>("edgeregistries", name);
      const found = conditionOf(last, "Ready");
      return found?.status === status && found.reason === reason;
    },
    () => `${name}: Ready=${status} ${reason}; last seen ${JSON.stringify(last?.status, null, 1)}`,
  );
  if (last === undefined) throw new Error("unreachable");
  return last;
}

/** Everything that a reader of the API, or of the operator's log, could see. */
async function shown(operator: { stdout: string; stderr: string }): Promise<string> {
  const lists = ["edgeregistries", "edgecontainers", "edgedevices", "edgebackends"].map((plural) =>
    world.admin.get(`/apis/edge.drayage.dev/v1alpha1/namespaces/${world.namespace}/${plural}`),
  );
  const events = world.admin.get(`/apis/events.k8s.io/v1/namespaces/${world.namespace}/events`);
  const answers = await Promise.all([...lists, events]);
  return operator.stdout + operator.stderr + JSON.stringify(answers.map(({ body }) => body));
}

describe("on Hiveon", () => {
  test("the login of the longest host goes with the rental, EdgeRegistries before pull secrets, and shows nowhere", async () => {
    const operator = world.operator();
    await Promise.all([basicAuth("wide"), basicAuth("narrow")]);
    await secret("pull", "dockerconfigjson", {
      ".dockerconfigjson": JSON.stringify({ auths: { "registry.example/acme": { auth: btoa(`puller:${PASSWORD}`) } } }),
    });
    await registry("wide", "registry.example", ["hiveon"]);
    await registry("narrow", "registry.example/acme", ["hiveon"]);
    const standing = await ready("narrow", "True", "Ready");
    expect(standing.status?.backends).toMatchObject([{ name: "hiveon", use: "PerContainer" }]);
    expect(conditionOf(standing, "CredentialsValid")).toMatchObject({ status: "Unknown", reason: "NotChecked" });
    await rent("narrow", {
      image: "registry.example/acme/app:1",
      registryRefs: [{ name: "wide" }, { name: "narrow" }],
      imagePullSecrets: [{ name: "pull" }],
    });
    await rent("longer", {
      image: "registry.example/acme/app:1",
      registryRefs: [{ name: "wide" }],
      imagePullSecrets: [{ name: "pull" }],
    });
    await rent("none", { image: "other.example/app:1", registryRefs: [{ name: "wide" }] });
    for (const name of ["narrow", "longer", "none"]) await world.condition(name, "Ready", "True", "Running");
    const login = (username: string) => ({
      docker_auth: { server: expect.stringMatching(/^registry\.example/), login: username, password: PASSWORD },
    });
    expect(dockerAuth("narrow")).toMatchObject(login("narrow-user"));
    expect(dockerAuth("longer")).toMatchObject(login("puller"));
    expect(dockerAuth("none")).not.toHaveProperty("docker_auth");
    expect(await shown(operator)).not.toContain("do-not-show");
  });

  test("an EdgeContainer waits for its EdgeRegistry, for its Secret, and to be let in; each comes and it goes on", async () => {
    world.operator();
    await rent("web", { registryRefs: [{ name: "private" }] });
    const missing = await world.condition("web", "Accepted", "False", "RegistryNotFound");
    expect(conditionOf(missing, "Reconciling")).toMatchObject({ reason: "WaitingForReference" });
    await world.create("edgeregistries", "private", {
      host: "registry.example",
      credentialsSecretRef: { name: "login" },
      backendRefs: [{ name: "elsewhere" }],
    });
    await ready("private", "False", "Rejected");
    const uninvited = await world.condition("web", "Accepted", "False", "RegistryNotReady");
    expect(conditionOf(uninvited, "Accepted")?.message).toContain("add it to its spec.backendRefs");
    await world.patch("edgeregistries", "private", { spec: { backendRefs: [{ name: "hiveon" }] } });
    await world.condition("web", "Accepted", "False", "SecretNotFound");
    await secret("login", "basic-auth", { username: "user", password: `${PASSWORD}\n` });
    const malformed = await ready("private", "False", "Rejected");
    expect(conditionOf(malformed, "Reconciling")).toMatchObject({ reason: "WaitingForReference" });
    await world.condition("web", "Accepted", "False", "SecretMalformed");
    expect(rentalsOf(vendor.simulator, "web")).toEqual([]);
    await world.admin.patch(`/api/v1/namespaces/${world.namespace}/secrets/login`, {
      stringData: { password: REPLACED },
    });
    await ready("private", "True", "Ready");
    await world.condition("web", "Ready", "True", "Running");
    expect(dockerAuth("web")).toMatchObject({ docker_auth: { login: "user", password: REPLACED } });
    expect(rentalsOf(vendor.simulator, "web")).toHaveLength(1);
  });

  test("an EdgeRegistry whose backend is missing says so, and can be deleted at once", async () => {
    world.operator();
    await basicAuth("private");
    await registry("private", "registry.example", ["nowhere"]);
    const object = await ready("private", "False", "BackendNotReady");
    expect(conditionOf(object, "Accepted")).toMatchObject({ status: "False", reason: "BackendNotFound" });
    expect(conditionOf(object, "Reconciling")).toMatchObject({ reason: "WaitingForReference" });
    await world.delete("edgeregistries", "private");
    await world.gone("edgeregistries", "private");
  });
});

describe("on Kanto and ALPON", () => {
  test("an EdgeRegistry says that they take no login, and EdgeContainers that ask for one are refused", async () => {
    await using alpon = await startAlponVendor(world, ["asset-1"]);
    const site = await world.site("press");
    const operator = world.operator();
    await basicAuth("private");
    await registry("private", "registry.example", ["hiveon", "press", "alpon"]);
    const object = await ready("private", "False", "Unsupported");
    expect(conditionOf(object, "Stalled")).toMatchObject({ status: "True", reason: "UnsupportedField" });
    expect(conditionOf(object, "Ready")?.message).toMatch(/kanto takes no registry credentials.*press.*alpon/);
    expect(object.status?.backends?.map(({ use }) => use)).toEqual(["PerContainer", "Unsupported", "Unsupported"]);
    const fields: [string, Partial<EdgeContainerSpec>][] = [
      ["press", { registryRefs: [{ name: "private" }] }],
      ["press", { imagePullSecrets: [{ name: "private" }] }],
      ["asset-1", { registryRefs: [{ name: "private" }] }],
      ["asset-1", { imagePullSecrets: [{ name: "private" }] }],
    ];
    for (const [device, field] of fields) {
      const [path] = Object.keys(field);
      const name = `${device}-${path?.toLowerCase() ?? ""}`;
      await world.container(name, { name: device }, field);
      const refused = await world.condition(name, "Stalled", "True", "UnsupportedField");
      expect(conditionOf(refused, "Stalled")?.message).toContain(`${path ?? ""}: `);
    }
    // Hiveon, named by the same object, is served all the same.
    await rent("web", { registryRefs: [{ name: "private" }] });
    await world.condition("web", "Ready", "True", "Running");
    expect(dockerAuth("web")).toMatchObject({ docker_auth: { login: "private-user" } });
    expect(existing(site)).toEqual([]);
    expect(JSON.stringify(alpon.simulator.requests())).not.toContain(PASSWORD);
    expect(await shown(operator)).not.toContain("do-not-show");
  });
});

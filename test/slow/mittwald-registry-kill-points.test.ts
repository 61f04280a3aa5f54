/** kill -9 right before and right after each write about an EdgeRegistry to mittwald: one registry, the newest login, and nothing left after its removal. */
import { afterEach, beforeEach, describe, expect, inject, test } from "vitest";
import type { EdgeRegistry } from "../../src/crds/edge-registry.ts";
import { startMittwaldVendor, type MittwaldVendor } from "../support/mittwald-world.ts";
import { conditionOf, World } from "../support/world.ts";

const MADE = "registry.example";
const DEFAULT = "docker.io";

let world: World;
let vendor: MittwaldVendor;
beforeEach(async () => {
  world = await World.create({ kubeconfig: inject("controlPlane").kubeconfig });
  vendor = await startMittwaldVendor(world, { quirks: { lagMs: 100, listLagMs: 200, credentialsCheckMs: 300 } });
  await world.admin.create(`/api/v1/namespaces/${world.namespace}/secrets`, {
    type: "kubernetes.io/basic-auth",
    metadata: { name: "login" },
    stringData: { username: "robot", password: "first" },
  });
});
afterEach(async () => {
  await world[Symbol.asyncDispose]();
  await vendor[Symbol.asyncDispose]();
});

const rows = () => vendor.simulator.platform.registries.of(vendor.projectId);
const uriOf = (host: string) => (host === DEFAULT ? "index.docker.io" : host);
const stored = (host: string) => vendor.simulator.platform.registries.login(vendor.projectId, uriOf(host))?.password;
const make = (host: string) =>
  world.create("edgeregistries", "acme", {
    host,
    credentialsSecretRef: { name: "login" },
    backendRefs: [{ name: "mittwald" }],
  });
const rotate = (password: string) =>
  world.admin.patch(`/api/v1/namespaces/${world.namespace}/secrets/login`, { stringData: { password } });

async function ready(): Promise<void> {
  await world.until(async () => {
    const object = await world.get<EdgeRegistry>("edgeregistries", "acme");
    return conditionOf(object, "Ready")?.status === "True";
  }, "Ready");
}

/** The operator dies while its next such request is under way, before or after the effect. */
async function dieAt(
  operator: ReturnType<World["operator"]>,
  match: "create-registry" | "update-registry" | "delete-registry",
  when: "before" | "after",
  ask: () => Promise<unknown>,
): Promise<void> {
  const hang = vendor.simulator.fault({ match, effect: { kind: "hang", when } });
  await ask();
  await world.until(() => hang.hits() === 1, "the request");
  operator.kill("SIGKILL");
  await operator.exit;
  vendor.simulator.clearFaults();
}

describe.each(["before", "after"] as const)("killed while a request is under way, %s its effect:", (when) => {
  test.each([
    ["makes one", MADE, "create-registry"],
    ["sets the login of a default one", DEFAULT, "update-registry"],
  ] as const)("%s", async (_, host, match) => {
    const before = rows();
    await dieAt(world.operator(), match, when, () => make(host));
    await rotate("second");
    world.operator();
    await ready();
    expect(rows().filter(({ uri }) => uri === uriOf(host))).toHaveLength(1);
    expect(rows()).toHaveLength(host === MADE ? before.length + 1 : before.length);
    expect(stored(host)).toBe("second");
    await world.delete("edgeregistries", "acme");
    await world.gone("edgeregistries", "acme");
    expect(rows()).toEqual(before);
  });

  test("rotates", async () => {
    const operator = world.operator();
    await make(MADE);
    await ready();
    await dieAt(operator, "update-registry", when, () => rotate("second"));
    await rotate("third");
    world.operator();
    await world.until(() => stored(MADE) === "third", "the newest password");
    await ready();
    expect(rows().filter(({ uri }) => uri === MADE)).toHaveLength(1);
  });

  test.each([
    ["removes ours", MADE, "delete-registry"],
    ["restores a default one", DEFAULT, "update-registry"],
  ] as const)("%s", async (_, host, match) => {
    const before = rows();
    const operator = world.operator();
    await make(host);
    await ready();
    await dieAt(operator, match, when, () => world.delete("edgeregistries", "acme"));
    world.operator();
    await world.gone("edgeregistries", "acme");
    expect(rows()).toEqual(before);
  });
});

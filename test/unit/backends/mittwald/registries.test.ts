/** The keeper of a project's registries, over the real HTTP client, against the simulator. */
import { describe, expect, onTestFinished, test } from "vitest";
import type { ObservedRegistry, RegistryMarker } from "../../../../src/backends/registry-contract.ts";
import { restMs } from "../../../../src/backends/mittwald/answers.ts";
import { MittwaldClient } from "../../../../src/backends/mittwald/client.ts";
import { MittwaldRegistries } from "../../../../src/backends/mittwald/registries.ts";
import { systemClock } from "../../../../src/kube/clock.ts";
import { startMittwald, type Quirks } from "../../../../src/simulators/mittwald/index.ts";
import { clientOf } from "../http/vendor.ts";

const HOST = "registry.example";
const LOGIN = { server: HOST, username: "robot", password: "hunter22-do-not-show" };
const MARKER: RegistryMarker = { owner: "o/1", namespace: "line", name: "acme", uid: "u-1", origin: "Created" };

async function start(quirks: Partial<Quirks> = {}, fence = { valid: () => true }) {
  const simulator = await startMittwald({ quirks });
  onTestFinished(() => simulator.stop());
  const http = clientOf(simulator.url, { restMs, authHeaders: { "x-access-token": "mittwald-token" } }, fence);
  const client = new MittwaldClient({
    clock: systemClock,
    send: (request) => http.send(request),
    secrets: ["mittwald-token"],
    malformed: () => undefined,
  });
  const keeper = new MittwaldRegistries(client, systemClock);
  const project = simulator.platform.projects()[0]?.id ?? "";
  const found = async (host = HOST): Promise<ObservedRegistry> => {
    const listing = await keeper.list(project, 0);
    const registry = listing.ok ? listing.registries.find((each) => each.host === host) : undefined;
    if (registry === undefined) throw new Error(`no registry ${host}: ${JSON.stringify(listing)}`);
    return registry;
  };
  return { simulator, keeper, project, found };
}

const lists = (requests: readonly { operation: string }[]) =>
  requests.filter(({ operation }) => operation === "list-registries").length;

describe("a registry of ours", () => {
  test("is made with the mark and the login, given another login, and removed", async () => {
    const { simulator, keeper, project, found } = await start({ lagMs: 100 });
    const made = await keeper.create(project, HOST, MARKER, LOGIN);
    expect(made).toMatchObject({ result: "Succeeded", id: expect.any(String) });
    // Read after our own write, whatever the read model's lag.
    expect(await found()).toMatchObject({ marker: MARKER, username: "robot", valid: true, isDefault: false });
    expect(simulator.platform.registries.login(project, HOST)).toEqual({ username: "robot", password: LOGIN.password });
    const again = await keeper.set(project, await found(), MARKER, { ...LOGIN, password: "second" });
    expect(again).toEqual({ result: "Succeeded" });
    expect(simulator.platform.registries.login(project, HOST)?.password).toBe("second");
    const { id, description } = await found();
    expect(description).toBe("acme [drayage:o%2F1/line/acme/u-1/created]");
    expect(await keeper.remove(project, id)).toEqual({ result: "Succeeded" });
    expect(await keeper.list(project, 0)).toMatchObject({ ok: true, registries: { length: 3 } });
    const gone = await keeper.remove(project, id);
    expect(gone).toMatchObject({ result: "Failed", failure: { class: "Unauthorized" } });
  });

  test("keeps the words that people gave it", async () => {
    const { simulator, keeper, project, found } = await start();
    await keeper.create(project, HOST, MARKER, LOGIN);
    const { id } = await found();
    simulator.human.call("update-registry", { registryId: id }, { description: "Our registry, ask Kim" });
    const edited = await found();
    expect(edited.marker).toBeUndefined();
    await keeper.set(project, edited, MARKER, LOGIN);
    expect(await found()).toMatchObject({
      marker: MARKER,
      description: expect.stringMatching(/^Our registry, ask Kim \[/),
    });
  });
});

test("one of the project's own gets a login and mark, and is afterwards as it was", async () => {
  const { simulator, keeper, project, found } = await start();
  const before = await found("index.docker.io");
  expect(before).toEqual({ id: before.id, host: "index.docker.io", description: "Docker Hub", isDefault: true });
  expect(keeper.hostAtVendor("docker.io")).toBe("index.docker.io");
  const marker = { ...MARKER, origin: "Default" as const };
  await keeper.set(project, before, marker, LOGIN);
  expect(await found("index.docker.io")).toMatchObject({ id: before.id, marker, username: "robot" });
  await keeper.restore(project, await found("index.docker.io"), "MarkerOnly");
  expect(await found("index.docker.io")).toMatchObject({ description: "Docker Hub", username: "robot" });
  await keeper.set(project, await found("index.docker.io"), marker, LOGIN);
  expect(await keeper.restore(project, await found("index.docker.io"), "Both")).toEqual({ result: "Succeeded" });
  expect(await found("index.docker.io")).toEqual(before);
  expect(simulator.platform.registries.login(project, "index.docker.io")).toBeUndefined();
});

test("whether a login is valid follows the vendor's own check, late", async () => {
  const { keeper, project, found } = await start({ credentialsCheckMs: 50 });
  await keeper.create(project, HOST, MARKER, { ...LOGIN, password: "wrong" });
  expect(await found()).toMatchObject({ valid: true });
  await expect.poll(async () => (await found()).valid).toBe(false);
});

describe("an answer that is a no is told in the vendor's words:", () => {
  test("a host that does not answer may do so later; a form that is none, and a second one of the host, not", async () => {
    const { keeper, project } = await start();
    for (const host of ["down.invalid", "web.example"])
      expect(await keeper.create(project, host, MARKER, LOGIN)).toMatchObject({
        result: "Failed",
        failure: { class: "Transient", message: expect.stringContaining("412") },
      });
    expect(await keeper.create(project, HOST, MARKER, LOGIN)).toMatchObject({ result: "Succeeded" });
    expect(await keeper.create(project, HOST, MARKER, LOGIN)).toMatchObject({
      result: "Failed",
      failure: { class: "Conflict", message: expect.stringContaining("409") },
    });
    expect(await keeper.create(project, "https://r.example", MARKER, LOGIN)).toMatchObject({
      result: "Failed",
      failure: { class: "Invalid", message: expect.stringContaining("400") },
    });
  });

  test("a path in the host is refused before anything is sent", async () => {
    const { keeper } = await start();
    expect(keeper.hostProblem("ghcr.io/acme")).toContain("leave the path out of spec.host");
    expect(keeper.hostProblem("ghcr.io:443")).toBeUndefined();
  });
});

describe("an answer that is lost", () => {
  test.each([
    ["before the effect", "before", 0],
    ["after it", "after", 1],
  ] as const)("%s decides nothing, and is not sent again; a listing tells", async (_, when, count) => {
    const { simulator, keeper, project } = await start();
    simulator.fault({ match: "create-registry", effect: { kind: "reset", when } });
    expect(await keeper.create(project, HOST, MARKER, LOGIN)).toMatchObject({ result: "Lost" });
    const listing = await keeper.list(project, 60_000);
    expect(listing.ok && listing.registries.filter(({ host }) => host === HOST)).toHaveLength(count);
    expect(simulator.requests().filter(({ operation }) => operation === "create-registry")).toHaveLength(1);
  });

  test("of a 500 after the effect is lost, too, and no password is in what is said", async () => {
    const { simulator, keeper, project, found } = await start();
    simulator.fault({ match: "create-registry", effect: { kind: "answer", when: "after", status: 500 } });
    const outcome = await keeper.create(project, HOST, MARKER, LOGIN);
    expect(outcome).toMatchObject({ result: "Lost" });
    expect(JSON.stringify([outcome, await found()])).not.toContain("do-not-show");
  });
});

test("nothing is sent without the lease", async () => {
  const fence = { valid: () => false };
  const { simulator, keeper, project } = await start({}, fence);
  const observed = { id: "x", host: HOST, description: "", isDefault: false };
  for (const outcome of [
    await keeper.create(project, HOST, MARKER, LOGIN),
    await keeper.set(project, observed, MARKER, LOGIN),
    await keeper.restore(project, observed, "Both"),
    await keeper.remove(project, "x"),
  ])
    expect(outcome).toMatchObject({ result: "Refused" });
  expect(simulator.requests()).toEqual([]);
});

test("one listing serves all who ask in its time, and none that is older than a change of ours", async () => {
  const { simulator, keeper, project } = await start();
  await Promise.all([keeper.list(project, 60_000), keeper.list(project, 60_000)]);
  await keeper.list(project, 60_000);
  expect(lists(simulator.requests())).toBe(1);
  await keeper.create(project, HOST, MARKER, LOGIN);
  await keeper.list(project, 60_000);
  expect(lists(simulator.requests())).toBe(2);
  await keeper.list(project, 0);
  expect(lists(simulator.requests())).toBe(3);
});

test("a view that is stuck is said to be old", async () => {
  const { simulator, keeper, project } = await start();
  await keeper.create(project, HOST, MARKER, LOGIN);
  simulator.fault({ match: "list-registries", effect: { kind: "answer", when: "before", status: 412 } });
  expect(await keeper.list(project, 0)).toMatchObject({ ok: true, stale: true });
});

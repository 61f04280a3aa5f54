/** The keeper of stacks of our own, over the real HTTP client, against the simulator. */
import { describe, expect, onTestFinished, test } from "vitest";
import type { ObservedStack, StackMarker } from "../../../../src/backends/stack-contract.ts";
import { restMs } from "../../../../src/backends/mittwald/answers.ts";
import { MittwaldClient } from "../../../../src/backends/mittwald/client.ts";
import { MittwaldStacks } from "../../../../src/backends/mittwald/stacks.ts";
import { systemClock } from "../../../../src/kube/clock.ts";
import { startMittwald, type Quirks, type SeenRequest } from "../../../../src/simulators/mittwald/index.ts";
import { openApi } from "../../../support/mittwald-openapi.ts";
import { clientOf } from "../http/vendor.ts";

const MARKER: StackMarker = { owner: "o/1", namespace: "line", name: "shop", uid: "u-1", operation: "op-1" };

async function start(quirks: Partial<Quirks> = {}, fence = { valid: () => true }) {
  const simulator = await startMittwald({ quirks, pullMs: 5, startMs: 5 });
  onTestFinished(() => simulator.stop());
  const http = clientOf(simulator.url, { restMs, authHeaders: { "x-access-token": "mittwald-token" } }, fence);
  const client = new MittwaldClient({
    clock: systemClock,
    send: (request) => http.send(request),
    secrets: ["mittwald-token"],
    malformed: () => undefined,
  });
  const keeper = new MittwaldStacks(client, systemClock);
  const project = simulator.platform.projects()[0]?.id ?? "";
  const listed = async (id: string): Promise<ObservedStack | undefined> => {
    const listing = await keeper.list(project, 0);
    if (!listing.ok) throw new Error(listing.failure.message);
    return listing.stacks.find((each) => each.id === id);
  };
  const make = async (): Promise<string> => {
    const made = await keeper.create(project, MARKER);
    if (made.result !== "Succeeded" || made.id === undefined) throw new Error(JSON.stringify(made));
    return made.id;
  };
  return { simulator, keeper, project, listed, make };
}

const changes = (requests: readonly SeenRequest[]) => requests.filter(({ method }) => method !== "GET");
const conflict = { result: "Failed", failure: { class: "Conflict" } };

describe("a stack of ours", () => {
  test("is made with the mark, found by it whatever the read model's lag, filled, emptied and removed", async () => {
    const { simulator, keeper, project, listed, make } = await start({ lagMs: 100 });
    const id = await make();
    expect(await listed(id)).toEqual({ id, isDefault: false, marker: MARKER, services: [], volumes: [] });
    expect(await keeper.addVolumes(project, id, ["data", "spare"])).toMatchObject({ result: "Succeeded" });
    simulator.human.create(id, "stray", { image: "x/y:1", volumes: ["data:/d"] });
    await expect.poll(async () => (await listed(id))?.services.map(({ name }) => name)).toEqual(["stray"]);
    const volume = (await listed(id))?.volumes.find(({ name }) => name === "data")?.id ?? "";
    // Nothing that is in use, or not seen to be gone, is destroyed.
    expect(await keeper.removeVolume(project, id, volume)).toMatchObject(conflict);
    expect(await keeper.remove(project, id)).toMatchObject(conflict);

    expect(await keeper.empty(project, id)).toMatchObject({ result: "Succeeded" });
    const emptied = await listed(id);
    expect(emptied).toMatchObject({ marker: MARKER, services: [], volumes: [{ name: "data" }, { name: "spare" }] });
    expect(await keeper.remove(project, id)).toMatchObject(conflict);
    for (const each of emptied?.volumes ?? [])
      expect(await keeper.removeVolume(project, id, each.id)).toMatchObject({ result: "Succeeded" });
    expect(await keeper.removeVolume(project, id, volume)).toEqual({ result: "Succeeded" });
    expect(await keeper.remove(project, id)).toMatchObject({ result: "Succeeded" });
    expect(await listed(id)).toBeUndefined();
    for (const { operation, body } of changes(simulator.requests()))
      expect(openApi().requestProblem(operation, body)).toBeUndefined();
  });

  test("loses only the services that were seen, by id", async () => {
    const { simulator, keeper, project, make, listed } = await start();
    const id = await make();
    simulator.human.create(id, "first", { image: "x/y:1" });
    simulator.human.create(id, "second", { image: "x/y:1" });
    const seen = (await listed(id))?.services.find(({ name }) => name === "first");
    if (seen === undefined) throw new Error("no service");
    expect(await keeper.removeServices(project, id, [{ id: "another", name: "first" }])).toMatchObject(conflict);
    expect([...simulator.platform.stack(id).containers.keys()]).toEqual(["first", "second"]);
    expect(await keeper.removeServices(project, id, [seen])).toMatchObject({ result: "Succeeded" });
    expect([...simulator.platform.stack(id).containers.keys()]).toEqual(["second"]);
  });
});

test("neither the default stack nor one without our mark is ever changed", async () => {
  const { simulator, keeper, project, make } = await start();
  const id = await make();
  simulator.human.call("update-stack", { stackId: id }, { description: "Kim's" });
  const before = changes(simulator.requests()).length;
  for (const stack of [project, id]) {
    expect(await keeper.empty(project, stack)).toMatchObject(conflict);
    expect(await keeper.remove(project, stack)).toMatchObject(conflict);
    expect(await keeper.addVolumes(project, stack, ["v"])).toMatchObject(conflict);
    expect(await keeper.removeServices(project, stack, [])).toMatchObject(conflict);
    expect(await keeper.removeVolume(project, stack, "v")).toMatchObject(conflict);
  }
  expect(changes(simulator.requests())).toHaveLength(before);
});

test.each(["before", "after"] as const)(
  "an answer of the creation that is lost %s its effect is Lost, and a listing tells",
  async (when) => {
    const { simulator, keeper, project } = await start();
    simulator.fault({ match: "create-stack", times: 1, effect: { kind: "reset", when } });
    expect(await keeper.create(project, MARKER)).toMatchObject({ result: "Lost" });
    const listing = await keeper.list(project, 60_000);
    const marks = listing.ok ? listing.stacks.flatMap(({ marker }) => marker ?? []) : [];
    expect(marks).toEqual(when === "after" ? [MARKER] : []);
  },
);

test("nothing is sent without the fence, and one listing serves all who ask", async () => {
  const { simulator, keeper, project } = await start({}, { valid: () => false });
  expect(await keeper.create(project, MARKER)).toMatchObject({ result: "Refused" });
  expect(changes(simulator.requests())).toEqual([]);
  const lists = () => simulator.requests().filter(({ operation }) => operation === "list-stacks").length;
  await Promise.all([keeper.list(project, 60_000), keeper.list(project, 60_000)]);
  expect(lists()).toBe(1);
});

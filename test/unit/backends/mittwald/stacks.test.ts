/** The keeper of stacks of our own, over the real HTTP client, against the simulator. */
import { describe, expect, onTestFinished, test } from "vitest";
import type { ObservedStack, OwnStack, StackMarker } from "../../../../src/backends/stack-contract.ts";
import { restMs } from "../../../../src/backends/mittwald/answers.ts";
import { MittwaldClient } from "../../../../src/backends/mittwald/client.ts";
import type { Stack } from "../../../../src/backends/mittwald/types.ts";
import type { ProjectListing } from "../../../../src/backends/mittwald/project.ts";
import { MittwaldStacks } from "../../../../src/backends/mittwald/stacks.ts";
import { systemClock } from "../../../../src/kube/clock.ts";
import { startMittwald, type Quirks, type SeenRequest } from "../../../../src/simulators/mittwald/index.ts";
import { openApi } from "../../../support/mittwald-openapi.ts";
import { clientOf } from "../http/vendor.ts";

const MARKER: StackMarker = { owner: "o/1", namespace: "line", name: "shop", uid: "u-1", operation: "op-1" };

async function start(
  quirks: Partial<Quirks> = {},
  fence = { valid: () => true },
  shown: (stack: Stack) => Stack = (stack) => stack,
) {
  const simulator = await startMittwald({ quirks, pullMs: 5, startMs: 5 });
  onTestFinished(() => simulator.stop());
  const http = clientOf(simulator.url, { restMs, authHeaders: { "x-access-token": "mittwald-token" } }, fence);
  const client = new MittwaldClient({
    clock: systemClock,
    send: (request) => http.send(request),
    secrets: ["mittwald-token"],
    malformed: () => undefined,
  });
  const read = client.stack.bind(client);
  client.stack = async (ref) => {
    const call = await read(ref);
    return call.kind === "Done" ? { ...call, value: shown(call.value) } : call;
  };
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
  const own = (id: string): OwnStack => ({ projectId: project, id, marker: MARKER });
  return { simulator, client, keeper, project, listed, make, own };
}

const changes = (requests: readonly SeenRequest[]) => requests.filter(({ method }) => method !== "GET");
const conflict = { result: "Failed", failure: { class: "Conflict" } };

describe("a stack of ours", () => {
  test("is made with the mark, found by it whatever the read model's lag, filled, emptied and removed", async () => {
    const { simulator, keeper, listed, make, own } = await start({ lagMs: 100 });
    const id = await make();
    expect(await listed(id)).toEqual({ id, isDefault: false, marker: MARKER, services: [], volumes: [] });
    expect(await keeper.addVolumes(own(id), ["data", "spare"])).toMatchObject({ result: "Succeeded" });
    simulator.human.create(id, "stray", { image: "x/y:1", volumes: ["data:/d"] });
    await expect.poll(async () => (await listed(id))?.services.map(({ name }) => name)).toEqual(["stray"]);
    const volume = (await listed(id))?.volumes.find(({ name }) => name === "data")?.id ?? "";
    // Nothing that is in use, or not seen to be gone, is destroyed.
    expect(await keeper.removeVolume(own(id), volume)).toMatchObject(conflict);
    expect(await keeper.remove(own(id))).toMatchObject(conflict);

    expect(await keeper.empty(own(id))).toMatchObject({ result: "Succeeded" });
    const emptied = await listed(id);
    expect(emptied).toMatchObject({ marker: MARKER, services: [], volumes: [{ name: "data" }, { name: "spare" }] });
    expect(await keeper.remove(own(id))).toMatchObject(conflict);
    for (const each of emptied?.volumes ?? [])
      expect(await keeper.removeVolume(own(id), each.id)).toMatchObject({ result: "Succeeded" });
    expect(await keeper.removeVolume(own(id), volume)).toEqual({ result: "Succeeded" });
    expect(await keeper.remove(own(id))).toMatchObject({ result: "Succeeded" });
    expect(await listed(id)).toBeUndefined();
    for (const { operation, body } of changes(simulator.requests()))
      expect(openApi().requestProblem(operation, body)).toBeUndefined();
  });

  test("loses only the services that were seen, by id", async () => {
    const { simulator, keeper, make, listed, own } = await start();
    const id = await make();
    simulator.human.create(id, "first", { image: "x/y:1" });
    simulator.human.create(id, "second", { image: "x/y:1" });
    const seen = (await listed(id))?.services.find(({ name }) => name === "first");
    if (seen === undefined) throw new Error("no service");
    expect(await keeper.removeServices(own(id), [{ id: "another", name: "first" }])).toMatchObject(conflict);
    expect([...simulator.platform.stack(id).containers.keys()]).toEqual(["first", "second"]);
    expect(await keeper.removeServices(own(id), [seen])).toMatchObject({ result: "Succeeded" });
    expect([...simulator.platform.stack(id).containers.keys()]).toEqual(["second"]);
  });
});

/** Every change that there is, in vain. */
async function refusesAll(
  { keeper, simulator }: Pick<Awaited<ReturnType<typeof start>>, "keeper" | "simulator">,
  stack: OwnStack,
): Promise<void> {
  const before = changes(simulator.requests()).length;
  expect(await keeper.empty(stack)).toMatchObject(conflict);
  expect(await keeper.remove(stack)).toMatchObject(conflict);
  expect(await keeper.addVolumes(stack, ["v"])).toMatchObject(conflict);
  expect(await keeper.removeServices(stack, [])).toMatchObject(conflict);
  expect(await keeper.removeVolume(stack, "v")).toMatchObject(conflict);
  expect(changes(simulator.requests())).toHaveLength(before);
}

describe("never changed is", () => {
  test("the default stack, by whichever id of the project and whatever its description says", async () => {
    const { simulator, keeper, project, make, own } = await start();
    const { description } = simulator.platform.stack(await make());
    simulator.human.call("update-stack", { stackId: project }, { description });
    const { shortId = "" } = simulator.platform.projects()[0] ?? {};
    for (const projectId of [project, shortId]) await refusesAll({ keeper, simulator }, { ...own(project), projectId });
  });

  test("one without a mark", async () => {
    const { simulator, keeper, make, own } = await start();
    const id = await make();
    simulator.human.call("update-stack", { stackId: id }, { description: "Kim's" });
    await refusesAll({ keeper, simulator }, own(id));
  });

  test.each<[string, Partial<StackMarker>]>([
    ["another installation", { owner: "o/2" }],
    ["another namespace", { namespace: "other" }],
    ["another EdgeStack", { name: "another" }],
    ["a former object of the name", { uid: "u-0" }],
    ["another creation", { operation: "op-0" }],
  ])("one whose mark is of %s than was seen", async (_, marker) => {
    const { simulator, keeper, make, own } = await start();
    const id = await make();
    await refusesAll({ keeper, simulator }, { ...own(id), marker: { ...MARKER, ...marker } });
  });
});

test("a volume is mounted if any service says so, also where the vendor leaves out what is linked to it", async () => {
  const { simulator, keeper, make, listed, own } = await start({}, undefined, (stack) => ({
    ...stack,
    volumes: stack.volumes.map((volume) => ({ ...volume, linkedServices: undefined })),
  }));
  const id = await make();
  simulator.human.create(id, "theirs", { image: "x/y:1", volumes: ["data:/d"] });
  const volume = (await listed(id))?.volumes[0]?.id ?? "";
  expect(await keeper.removeVolume(own(id), volume)).toMatchObject(conflict);
  expect(changes(simulator.requests()).map(({ operation }) => operation)).toEqual(["create-stack"]);
});

test("a service with a mark is neither emptied away nor removed as a stray, whosever it is", async () => {
  const { simulator, keeper, make, listed, own } = await start();
  const id = await make();
  const description = "theirs [drayage:o%2F2/ns/web//op]";
  simulator.human.create(id, "web", { image: "x/y:1", description });
  const [seen] = (await listed(id))?.services ?? [];
  if (seen === undefined) throw new Error("no service");
  expect(seen.marker?.owner).toBe("o/2");
  expect(await keeper.empty(own(id))).toMatchObject(conflict);
  expect(await keeper.removeServices(own(id), [seen])).toMatchObject(conflict);
  expect([...simulator.platform.stack(id).containers.keys()]).toEqual(["web"]);
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

test("what was decided by a look is not sent once a pause that the vendor asked for has made the look old", async () => {
  const { simulator, keeper, make, listed, own } = await start();
  const id = await make();
  simulator.human.create(id, "stray", { image: "x/y:1" });
  const strays = (await listed(id))?.services ?? [];
  // The look is the last request that the vendor allows in a minute.
  Object.assign(simulator.quirks, { rateLimit: simulator.requests().length + 1, rateWindowMs: 60_000 });
  expect(await keeper.removeServices(own(id), strays)).toMatchObject({
    result: "Failed",
    failure: { class: "RateLimited" },
  });
  expect([...simulator.platform.stack(id).containers.keys()]).toEqual(["stray"]);
});

test("what is listed for the devices serves too, unless it is too old, or older than a change or than what was listed here", async () => {
  const { simulator, client, project, make } = await start();
  const id = await make();
  const call = await client.stacks(project);
  const seen = call.kind === "Done" ? call.value : [];
  let nowMs = 1_000_000;
  let latest: ProjectListing | undefined;
  const keeper = new MittwaldStacks(client, { monotonic: () => nowMs }, () => latest);
  const lists = () => simulator.requests().filter(({ operation }) => operation === "list-stacks").length;
  const asks = async (maxAgeMs: number): Promise<boolean> => {
    const before = lists();
    const listing = await keeper.list(project, maxAgeMs);
    expect(listing.ok && listing.stacks.map((stack) => stack.id).includes(id)).toBe(true);
    return lists() > before;
  };
  const listed = (ageMs: number) => (latest = { stacks: seen, stale: false, atMs: nowMs - ageMs });

  listed(29_000);
  expect(await asks(30_000)).toBe(false);
  nowMs += 2_000;
  expect(await asks(30_000)).toBe(true);
  // Our own is the newer one now, also than this.
  listed(1_000);
  expect(await asks(30_000)).toBe(false);
  expect(await asks(0)).toBe(true);

  nowMs += 1_000;
  listed(10);
  expect(await keeper.addVolumes({ projectId: project, id, marker: MARKER }, ["data"])).toMatchObject({
    result: "Succeeded",
  });
  expect(await asks(30_000)).toBe(true);
  nowMs += 1_000;
  listed(10);
  expect(await asks(30_000)).toBe(false);
});

test("nothing is sent without the fence, and one listing serves all who ask", async () => {
  const { simulator, keeper, project } = await start({}, { valid: () => false });
  expect(await keeper.create(project, MARKER)).toMatchObject({ result: "Refused" });
  expect(changes(simulator.requests())).toEqual([]);
  const lists = () => simulator.requests().filter(({ operation }) => operation === "list-stacks").length;
  await Promise.all([keeper.list(project, 60_000), keeper.list(project, 60_000)]);
  expect(lists()).toBe(1);
});

import { describe, expect, test } from "vitest";
import type { EdgeContainer } from "../../../src/crds/edge-container.ts";
import { type ApiError, isConflict, isInvalid, isNotFound } from "../../../src/kube/errors.ts";
import { resourceName } from "../../../src/kube/resource.ts";
import { CONTAINERS, World } from "./setup.ts";

type Status = NonNullable<EdgeContainer["status"]>;

const PATCH = `PATCH ${resourceName(CONTAINERS)} `;

function patches(world: World): number {
  return world.requests.filter((request) => request.startsWith(PATCH)).length;
}

const RUNNING: Status = {
  observedGeneration: 1,
  phase: "Running",
  restartCount: 2,
  external: { id: "c-1", name: "web" },
};

describe("status writes against a real API server", () => {
  test("one patch makes the status exactly the new one; the same again sends nothing", async () => {
    await using world = await World.create();
    const writer = world.statusWriter();
    const created = await world.createContainer("a");
    const first = await writer.write(CONTAINERS, created, RUNNING);
    expect(first.written).toBe(true);
    expect((await world.get("a")).status).toEqual(RUNNING);

    const second = await writer.write(CONTAINERS, first.object, { ...RUNNING });
    expect(second).toEqual({ written: false, object: first.object });
    expect(patches(world)).toBe(1);
    expect((await world.get("a")).metadata.resourceVersion).toBe(first.object.metadata.resourceVersion);
  });

  test("keys that are gone from the new status are gone from the object; spec and metadata stay", async () => {
    await using world = await World.create();
    const writer = world.statusWriter();
    const { object } = await writer.write(CONTAINERS, await world.createContainer("a"), RUNNING);
    const next: Status = { observedGeneration: 1, phase: "Pending" };
    await writer.write(CONTAINERS, object, next);
    const got = await world.get("a");
    expect(got.status).toEqual(next);
    expect(got.spec).toEqual(object.spec);
    expect(got.metadata.generation).toBe(1);
  });

  test("a change of the spec meanwhile does not hinder a plain write, and refuses one that is tied to the version", async () => {
    await using world = await World.create();
    const writer = world.statusWriter();
    const stale = await world.createContainer("a");
    await world.client.patch(
      CONTAINERS,
      { namespace: world.namespace, name: "a" },
      { type: "merge", body: { spec: { suspend: true } } },
    );
    const refusal = await writer
      .write(CONTAINERS, stale, RUNNING, { atVersion: true })
      .catch((error: unknown) => error);
    expect(isConflict(refusal)).toBe(true);
    expect((await world.get("a")).status?.phase).toBeUndefined();

    const { object } = await writer.write(CONTAINERS, stale, RUNNING);
    expect(object.spec.suspend).toBe(true);
    expect(object.status?.phase).toBe("Running");
  });

  test("a namesake that was created anew never gets the status of the one that is gone", async () => {
    await using world = await World.create();
    const results: string[] = [];
    const writer = world.statusWriter({
      metrics: { wrote: (_resource, result) => results.push(result), saved: () => results.push("saved") },
    });
    const gone = await world.createContainer("a");
    await world.client.delete(CONTAINERS, { namespace: world.namespace, name: "a" });
    const missing = await writer.write(CONTAINERS, gone, RUNNING).catch((error: unknown) => error);
    expect(isNotFound(missing)).toBe(true);

    const namesake = await world.createContainer("a");
    expect(namesake.metadata.uid).not.toBe(gone.metadata.uid);
    const refusal = await writer.write(CONTAINERS, gone, RUNNING).catch((error: unknown) => error);
    expect(isConflict(refusal)).toBe(true);
    expect(results).toEqual(["gone", "conflict"]);
    expect((await world.get("a")).metadata.resourceVersion).toBe(namesake.metadata.resourceVersion);
  });

  test("a field that another writer put into the status stays; a value that the schema refuses is no conflict", async () => {
    await using world = await World.create();
    const writer = world.statusWriter();
    const { object } = await writer.write(CONTAINERS, await world.createContainer("a"), RUNNING);
    await world.client.patch(
      CONTAINERS,
      { namespace: world.namespace, name: "a" },
      { type: "merge", body: { status: { resolved: { image: "docker.io/library/nginx:1" } } } },
      { subresource: "status" },
    );
    await writer.write(CONTAINERS, object, { ...RUNNING, restartCount: 3 });
    const got = await world.get("a");
    expect(got.status).toEqual({ ...RUNNING, restartCount: 3, resolved: { image: "docker.io/library/nginx:1" } });

    const bad = { ...got.status, phase: "Nonsense" } as unknown as Status;
    const refusal = await writer.write(CONTAINERS, got, bad).catch((error: unknown) => error);
    expect(isInvalid(refusal)).toBe(true);
    expect((refusal as ApiError).message).toContain("phase");
  });

  test("each write is expected to show in the cache, and starts the object's interval for what is not urgent", async () => {
    await using world = await World.create();
    const writer = world.statusWriter();
    const created = await world.createContainer("a");
    expect(writer.delayMs(CONTAINERS, created, "soon")).toBe(0);
    const { object } = await writer.write(CONTAINERS, created, RUNNING);
    const key = { namespace: world.namespace, name: "a" };
    const isStale = (version: string): boolean =>
      world.expectations.isStale(resourceName(CONTAINERS), key, { object: version, collection: "" });
    expect(isStale(created.metadata.resourceVersion)).toBe(true);
    expect(isStale(object.metadata.resourceVersion)).toBe(false);
    expect(writer.delayMs(CONTAINERS, created, "urgent")).toBe(0);
    expect(writer.delayMs(CONTAINERS, created, "soon")).toBeGreaterThan(1000);
    expect(writer.delayMs(CONTAINERS, created, "lazy")).toBeGreaterThan(50_000);
  });
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { externalStatusPath, readStatus, startBody, stopPath } from "../../../../src/backends/hiveon/wire.ts";

const body = (over: object = {}) => ({ deployment_id: "a1-ghij", machine_id: "m", status: "STATUS_RUNNING", ...over });

describe("a status", () => {
  test.each([
    ["STATUS_PENDING", "Pending"],
    ["STATUS_RUNNING", "Running"],
    ["STATUS_STOPPING", "Stopping"],
    ["STATUS_STOPPED", "Stopped"],
    ["STATUS_FAILED", "Failed"],
    ["STATUS_UNSPECIFIED", "Unknown"],
    ["STATUS_MIGRATING", "Unknown"],
    [undefined, "Unknown"],
    [7, "Unknown"],
  ])("%s is %s", (status, state) => {
    expect(readStatus(body({ status }))?.state).toBe(state);
  });

  test.each([
    [{ code: 7, message: "no image" }, 7, "no image"],
    [{ code: 0, message: "" }, undefined, undefined],
    [{ message: "only words" }, undefined, "only words"],
    ["a text, as in the older edition", undefined, "a text, as in the older edition"],
    [null, undefined, undefined],
    [undefined, undefined, undefined],
    [[], undefined, undefined],
    [{ code: "7" }, undefined, undefined],
  ])("with fail_reason %j says code %s and %s", (fail_reason, code, message) => {
    expect(readStatus(body({ fail_reason }))).toMatchObject({ failCode: code, failMessage: message });
  });

  test("keeps metadata that is text, and takes unknown fields and missing ones", () => {
    expect(readStatus({ deployment_id: "d", metadata: { a: "b", c: 1 }, other: {} })).toEqual({
      deploymentId: "d",
      externalId: undefined,
      machineId: undefined,
      state: "Unknown",
      status: "STATUS_UNSPECIFIED",
      failCode: undefined,
      failMessage: undefined,
      metadata: { a: "b" },
    });
  });

  test("of anything else is none, and nothing throws", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (json) => {
        const status = readStatus(json);
        if (status !== undefined) expect(status.deploymentId).not.toBe("");
      }),
    );
  });
});

test("ids from the vendor are encoded in paths: none can lead elsewhere", () => {
  expect(stopPath("../../x?y#z")).toBe("/vendors/v1/machines/deployments/..%2F..%2Fx%3Fy%23z/stop");
  expect(externalStatusPath("id", "/other/{id}/status")).toBe("/other/id/status");
});

test("a start holds what was asked for and nothing empty", () => {
  const marker = { owner: "o", namespace: "n", name: "w", uid: "u", operation: "op", hash: "k:1" };
  const target = { machineId: "m", machinePriceId: "p", externalId: "x" };
  const bare = startBody(
    {
      name: "w",
      image: "i",
      state: "Running",
      env: [],
      spec: { deviceRef: { name: "d" }, ports: [{ containerPort: 80 }] },
    },
    marker,
    target,
  );
  expect(bare).toEqual({
    machine_id: "m",
    machine_price_id: "p",
    external_deployment_id: "x",
    container_config: { image: "i" },
    metadata: {
      drayage_owner: "o",
      drayage_namespace: "n",
      drayage_name: "w",
      drayage_uid: "u",
      drayage_operation: "op",
      drayage_hash: "k:1",
      drayage_image: "i",
    },
  });
});

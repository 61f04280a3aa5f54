import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { sleep } from "../../../src/kube/clock.ts";
import { cutToBytes } from "../../../src/kube/event-record.ts";
import { lean } from "../../../src/kube/lean.ts";
import { heldSpec, microTime, releasedSpec } from "../../../src/kube/lease-record.ts";
import { retryAfterMs } from "../../../src/kube/requests.ts";
import type { Resource } from "../../../src/kube/resource.ts";
import { TokenBucket } from "../../../src/kube/token-bucket.ts";
import type { KubeObject } from "../../../src/kube/types.ts";
import { FakeClock } from "../../support/fake-clock.ts";

describe("a sleep", () => {
  test("ends with its time or with its signal, and leaves neither timer nor listener", async () => {
    const clock = new FakeClock();
    const stop = new AbortController();
    const full = sleep(clock, 1_000, stop.signal);
    clock.advance(999);
    expect(clock.pending).toBe(1);
    clock.advance(1);
    expect(await full).toBe(true);
    const cut = sleep(clock, 1_000, stop.signal);
    stop.abort();
    expect(await cut).toBe(false);
    expect(await sleep(clock, 1_000, stop.signal)).toBe(false);
    expect(clock.pending).toBe(0);
  });
});

describe("Retry-After", () => {
  const now = Date.UTC(2026, 0, 1);

  test("is read as seconds or as a date, and never as a time in the past", () => {
    expect(retryAfterMs("7", now)).toBe(7_000);
    expect(retryAfterMs(["3", "9"], now)).toBe(3_000);
    expect(retryAfterMs("Thu, 01 Jan 2026 00:00:05 GMT", now)).toBe(5_000);
    expect(retryAfterMs("Wed, 31 Dec 2025 00:00:00 GMT", now)).toBe(0);
  });

  test("that makes no sense is no Retry-After", () => {
    for (const text of [undefined, "", "soon", "-1x"]) {
      expect(retryAfterMs(text, now)).toBeUndefined();
    }
  });
});

describe("a lean object", () => {
  const resource: Resource = { group: "g", version: "v1", plural: "things", kind: "Thing", namespaced: true };

  test("lacks what nobody reads, keeps the rest, and leaves the original alone", () => {
    const last = "kubectl.kubernetes.io/last-applied-configuration";
    const original = {
      apiVersion: "meta.k8s.io/v1",
      kind: "PartialObjectMetadata",
      metadata: {
        name: "a",
        uid: "u",
        resourceVersion: "1",
        labels: { l: "1" },
        annotations: { [last]: "{}", kept: "yes" },
        managedFields: [{}],
        selfLink: "/x",
      },
      spec: { deep: [1] },
    };
    const before = structuredClone(original);
    const small = lean(original as KubeObject, resource);
    expect(small).toEqual({
      apiVersion: "g/v1",
      kind: "Thing",
      metadata: { name: "a", uid: "u", resourceVersion: "1", labels: { l: "1" }, annotations: { kept: "yes" } },
      spec: { deep: [1] },
    });
    expect(original).toEqual(before);
  });
});

describe("a text cut to bytes", () => {
  test("fits, is a beginning of the text, and is left alone when it fits already", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 60 }), fc.integer({ min: 10, max: 80 }), (text, maxBytes) => {
        const whole = Buffer.from(text, "utf8").toString("utf8");
        const cut = cutToBytes(whole, maxBytes);
        expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(maxBytes);
        expect(cut === whole || whole.startsWith(cut.slice(0, -3))).toBe(true);
        expect(cut === whole).toBe(Buffer.byteLength(whole) <= maxBytes);
      }),
    );
  });
});

describe("a token bucket", () => {
  test("never gives more than its burst and its pace allow", () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 500 }), { maxLength: 50 }), (pauses) => {
        const clock = new FakeClock();
        const bucket = new TokenBucket(clock, 3, 100);
        let given = 0;
        for (const pause of pauses) {
          clock.advance(pause);
          const waitMs = bucket.take();
          given += waitMs === 0 ? 1 : 0;
          expect(waitMs).toBeLessThanOrEqual(100);
          expect(given).toBeLessThanOrEqual(3 + clock.monotonic() / 100);
        }
        clock.advance(300);
        expect(bucket.full).toBe(true);
      }),
    );
  });
});

describe("a lease's record", () => {
  const at = Date.UTC(2026, 10, 21, 10, 0, 0, 123);

  test("has times with six decimals", () => {
    expect(microTime(at)).toBe("2026-11-21T10:00:00.123000Z");
  });

  test("counts changes of the holder, not renewals, and keeps the time of acquiring through renewals", () => {
    const first = heldSpec(undefined, "a", 15_000, at);
    expect(first).toMatchObject({ holderIdentity: "a", leaseDurationSeconds: 15, leaseTransitions: 0 });
    const renewed = heldSpec(first, "a", 15_000, at + 2_000);
    expect(renewed).toMatchObject({ acquireTime: first.acquireTime, leaseTransitions: 0 });
    expect(renewed.renewTime).not.toBe(first.renewTime);
    const taken = heldSpec(renewed, "b", 15_000, at + 40_000);
    expect(taken).toMatchObject({ holderIdentity: "b", leaseTransitions: 1 });
    const released = releasedSpec(taken, at + 50_000);
    expect(released).toMatchObject({ holderIdentity: "", leaseTransitions: 1, leaseDurationSeconds: 1 });
    expect(heldSpec(released, "c", 500, at + 51_000)).toMatchObject({ leaseTransitions: 2, leaseDurationSeconds: 1 });
  });
});

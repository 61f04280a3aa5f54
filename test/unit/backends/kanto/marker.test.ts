import { assert, property, record, string } from "fast-check";
import { describe, expect, test } from "vitest";
import type { Marker } from "../../../../src/backends/contract.ts";
import { isMarkerEntry, markerEntry, readMarker } from "../../../../src/backends/kanto/marker.ts";

const MARKER: Marker = { owner: "o", namespace: "n", name: "web", uid: "u-1", operation: "op-1", hash: "k1:abc" };

describe("the owner marker", () => {
  test("survives a round trip among other variables", () => {
    const part = string({ minLength: 1 });
    const marker = record({ owner: part, namespace: part, name: part, uid: part, operation: part, hash: part });
    assert(
      property(marker, (value) => {
        expect(readMarker(["A=1", markerEntry(value), "B=2"])).toEqual(value);
      }),
    );
  });

  test("is one variable without a line break, which the daemon would refuse", () => {
    const entry = markerEntry({ ...MARKER, name: "two\nlines" });
    expect(entry).toMatch(/^DRAYAGE_MARKER=\{/);
    expect(entry).not.toMatch(/\n/);
    expect(isMarkerEntry(entry)).toBe(true);
  });

  test.each([
    ["none", ["A=1"]],
    ["no value", ["DRAYAGE_MARKER"]],
    ["no JSON", ["DRAYAGE_MARKER=x"]],
    ["an array", ["DRAYAGE_MARKER=[]"]],
    ["a missing field", [`DRAYAGE_MARKER=${JSON.stringify({ ...MARKER, hash: undefined })}`]],
    ["an empty field", [`DRAYAGE_MARKER=${JSON.stringify({ ...MARKER, uid: "" })}`]],
    ["a field of another type", [`DRAYAGE_MARKER=${JSON.stringify({ ...MARKER, uid: 5 })}`]],
    ["two markers", [markerEntry(MARKER), markerEntry({ ...MARKER, uid: "u-2" })]],
    ["another name", [`MY_${markerEntry(MARKER)}`]],
  ])("is not there with %s", (_what, env) => expect(readMarker(env)).toBeUndefined());
});

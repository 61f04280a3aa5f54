import { expect, test } from "vitest";
import { Inventory } from "../../../../src/backends/alpon/inventory.ts";
import type { Listed } from "../../../../src/backends/alpon/wire.ts";

const names = (name: string) => ({ owner: "o", namespace: "n", name });
const listed = (name: string): Listed => ({ name, state: "Running", config: { image: "i" } }) as Listed;

test("ten thousand containers that come and go leave nothing behind", () => {
  const inventory = new Inventory();
  for (let i = 0; i < 10_000; i++) {
    const name = `web-${i}`;
    inventory.claim({ ...names(name), containerName: name });
    inventory.noteSent(name, { image: "i" }, undefined);
    inventory.take([listed(name)], 0);
    expect(inventory.containers(0)).toHaveLength(1);
    inventory.noteGone(name);
    inventory.take([], 0);
    inventory.containers(0);
    inventory.forget(names(name));
  }
  expect(inventory.size).toBe(0);
});

test("nor do they where there is no list", () => {
  const inventory = new Inventory();
  inventory.isBlind = true;
  for (let i = 0; i < 100; i++) {
    const name = `web-${i}`;
    inventory.claim({ ...names(name), containerName: name });
    inventory.noteSent(name, { image: "i" }, { ...names(name), uid: "", operation: "", hash: "" });
    expect(inventory.containers(0)).toMatchObject([{ name, unverified: true }]);
    inventory.noteGone(name);
    expect(inventory.containers(0)).toEqual([]);
    inventory.forget(names(name));
  }
  expect(inventory.size).toBe(0);
});

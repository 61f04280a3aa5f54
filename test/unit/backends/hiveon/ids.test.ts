import fc from "fast-check";
import { expect, test } from "vitest";
import { externalDeploymentId } from "../../../../src/backends/hiveon/ids.ts";

const NAMES = { owner: "factory", namespace: "line", name: "web" };

test("the id of a rental is frozen: with another one nothing that is rented would be found again", () => {
  expect(externalDeploymentId(NAMES, 1)).toBe("cdd01a0c-2c71-5914-9e4b-ea685dcbd14d");
});

test("is a version 5 UUID, the same each time, and another one for every owner, namespace, name and number", () => {
  const word = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,10}[a-z0-9])?$/);
  const key = fc.tuple(word, word, word, fc.integer({ min: 1, max: 1000 }));
  fc.assert(
    fc.property(key, key, (a, b) => {
      const [idA, idB] = [a, b].map(([owner, namespace, name, attempt]) =>
        externalDeploymentId({ owner, namespace, name }, attempt),
      );
      expect(idA).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      expect(idA === idB).toBe(JSON.stringify(a) === JSON.stringify(b));
    }),
  );
});

import fc from "fast-check";
import { expect, test } from "vitest";
import { inOrder, removableNow, type Dependent } from "../../../../src/reconcilers/edge-stack/order.ts";

/** Any graph over a few names, circles included. */
const GRAPHS: fc.Arbitrary<Dependent[]> = fc.integer({ min: 1, max: 8 }).chain((count) => {
  const names = Array.from({ length: count }, (_, index) => `c${index}`);
  return fc.tuple(
    ...names.map((name) =>
      fc
        .subarray(names)
        .map((some) => ({ name, dependsOn: some.filter((other) => other !== name).map((other) => ({ name: other })) })),
    ),
  );
});

/** Only edges to earlier ones, in any order of the list: no circle. */
const ORDERLY: fc.Arbitrary<Dependent[]> = GRAPHS.map((graph) =>
  graph.map(({ name, dependsOn = [] }) => ({ name, dependsOn: dependsOn.filter((each) => each.name < name) })),
).chain((graph) => fc.shuffledSubarray(graph, { minLength: graph.length }));

test("every container comes after all that it depends on, each once", () => {
  fc.assert(
    fc.property(ORDERLY, (graph) => {
      const sorted = inOrder(graph);
      if (!("order" in sorted)) throw new Error("a circle where there is none");
      const names = sorted.order.map(({ name }) => name);
      expect(names.toSorted()).toEqual(graph.map(({ name }) => name).toSorted());
      for (const { name, dependsOn = [] } of graph)
        for (const each of dependsOn) expect(names.indexOf(each.name)).toBeLessThan(names.indexOf(name));
    }),
  );
});

test("either there is an order, or the circle that is named is one", () => {
  fc.assert(
    fc.property(GRAPHS, (graph) => {
      const sorted = inOrder(graph);
      if ("order" in sorted) return;
      const { circle } = sorted;
      expect(circle.length).toBeGreaterThan(1);
      expect(circle.at(-1)).toBe(circle[0]);
      for (let index = 0; index + 1 < circle.length; index++) {
        const from = graph.find(({ name }) => name === circle[index]);
        expect(from?.dependsOn?.map(({ name }) => name)).toContain(circle[index + 1]);
      }
    }),
  );
});

test("a list without dependencies keeps its order", () => {
  expect(inOrder([{ name: "b" }, { name: "a" }])).toEqual({ order: [{ name: "b" }, { name: "a" }] });
});

test("removal ends for every graph, and nothing goes before what depends on it unless they are a circle", () => {
  fc.assert(
    fc.property(GRAPHS, (graph) => {
      const isCircular = "circle" in inOrder(graph);
      let present: ReadonlySet<string> = new Set(graph.map(({ name }) => name));
      for (let rounds = 0; present.size > 0; rounds++) {
        expect(rounds).toBeLessThanOrEqual(graph.length);
        const next = removableNow(graph, present);
        expect(next.size).toBeGreaterThan(0);
        if (!isCircular)
          for (const name of next)
            for (const other of graph)
              if (present.has(other.name)) expect(other.dependsOn?.map((each) => each.name)).not.toContain(name);
        present = new Set([...present].filter((name) => !next.has(name)));
      }
    }),
  );
});

test("what is present without being in the spec any more holds nobody back", () => {
  expect(removableNow([{ name: "a" }], new Set(["a", "old"]))).toEqual(new Set(["a", "old"]));
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readUsage, type UsageProblem } from "../../../../src/backends/kanto/usage.ts";

/** Reads a report of a device that has the containers a and b. */
function read(value: unknown) {
  const dropped: UsageProblem[] = [];
  const report = readUsage(value, {
    knows: (id) => ["a", "b"].includes(id),
    dropped: (problem) => void dropped.push(problem),
  });
  return { report: report && Object.fromEntries(report), dropped };
}

function entry(id: string, figures: Readonly<Record<string, unknown>>) {
  return {
    originator: `Container:${id}`,
    measurements: Object.entries(figures).map(([figure, value]) => ({ id: figure, value })),
  };
}

test("all figures of the daemon are read, in Prometheus' units", () => {
  const figures = {
    "cpu.utilization": 9.5,
    "memory.total": 8_589_934_592,
    "memory.used": 1_048_576,
    "memory.utilization": 0.0122,
    "io.readBytes": 1,
    "io.writeBytes": 2,
    "net.readBytes": 3,
    "net.writeBytes": 4,
    pids: 5,
  };
  expect(read({ snapshot: [entry("a", figures)], timestamp: 1_795_246_702 })).toEqual({
    report: {
      a: {
        cpuRatio: 0.095,
        memoryLimitBytes: 8_589_934_592,
        memoryUsedBytes: 1_048_576,
        ioReadBytes: 1,
        ioWrittenBytes: 2,
        networkReceivedBytes: 3,
        networkTransmittedBytes: 4,
        pids: 5,
      },
    },
    dropped: [],
  });
});

describe("what does not fit is dropped and counted, and the rest is taken:", () => {
  const cases: [string, unknown, unknown, UsageProblem[]][] = [
    ["no object", null, undefined, ["Usage"]],
    ["no list", { snapshot: {} }, undefined, ["Usage"]],
    ["an entry that is none", { snapshot: [5, entry("a", { pids: 1 })] }, { a: { pids: 1 } }, ["Usage"]],
    ["another originator", { snapshot: [{ originator: "Host", measurements: [] }] }, {}, ["Usage"]],
    ["measurements that are no list", { snapshot: [{ originator: "Container:a", measurements: {} }] }, {}, ["Usage"]],
    ["an unknown container", { snapshot: [entry("x", { pids: 1 })] }, {}, ["UsageUnknownContainer"]],
    ["an unknown figure", { snapshot: [entry("a", { gpu: 1, pids: 2 })] }, { a: { pids: 2 } }, ["UsageUnknownFigure"]],
    ["a text", { snapshot: [entry("a", { pids: "2" })] }, { a: {} }, ["UsageFigure"]],
    ["less than nothing", { snapshot: [entry("a", { "cpu.utilization": -1 })] }, { a: {} }, ["UsageFigure"]],
    [
      "a used memory that wrapped round",
      { snapshot: [entry("a", { "memory.used": 2 ** 64 - 4096 })] },
      { a: {} },
      ["UsageFigure"],
    ],
    ["more processes than a kernel has", { snapshot: [entry("a", { pids: 1e9 })] }, { a: {} }, ["UsageFigure"]],
    [
      "a figure that is no object",
      { snapshot: [{ originator: "Container:a", measurements: [null] }] },
      { a: {} },
      ["UsageFigure"],
    ],
  ];
  test.each(cases)("%s", (_, value, report, dropped) => {
    expect(read(value)).toEqual({ report, dropped });
  });
});

test("a report without end is cut", () => {
  const many = Array.from({ length: 10_000 }, () => entry("a", { pids: 1 }));
  expect(read({ snapshot: many }).dropped).toEqual(["UsageTooLarge"]);
  const figures = Array.from({ length: 10_000 }, () => ({ id: "pids", value: 1 }));
  expect(read({ snapshot: [{ originator: "Container:a", measurements: figures }] }).dropped).toEqual(["UsageTooLarge"]);
});

test("whatever arrives, what is taken is finite, not negative, and of known containers", () => {
  const figure = fc.record({
    id: fc.oneof(fc.constantFrom("cpu.utilization", "memory.used", "pids"), fc.string()),
    value: fc.oneof(fc.double(), fc.anything()),
  });
  const one = fc.record({
    originator: fc.oneof(fc.constantFrom("Container:a", "Container:b", "Container:"), fc.string()),
    measurements: fc.oneof(fc.array(figure), fc.anything()),
  });
  fc.assert(
    fc.property(fc.oneof(fc.record({ snapshot: fc.oneof(fc.array(one), fc.anything()) }), fc.anything()), (value) => {
      const { report = {} } = read(value);
      expect(Object.keys(report).filter((id) => !["a", "b"].includes(id))).toEqual([]);
      const amounts = Object.values(report).flatMap((usage) => Object.values(usage));
      expect(amounts.filter((amount) => !Number.isFinite(amount) || amount < 0)).toEqual([]);
    }),
  );
});

// The import rules of docs/architecture.md ("The rooms") are held by .oxlintrc.json. Here every pair of rooms is planted: a file of one that
// imports a file of the other, linted with the project's own settings in a folder laid out like the project.

import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";

const ROOT = join(import.meta.dirname, "../../..");
const ROOMS = ["cli", "reconcilers", "controller", "backends", "crds", "kube", "simulators"] as const;
type Room = (typeof ROOMS)[number];

/** What each room may import besides itself. cli may use everything; main.ts is imported by nobody. */
const ALLOWED: Record<Room, readonly Room[]> = {
  cli: ["reconcilers", "controller", "backends", "crds", "kube", "simulators"],
  reconcilers: ["controller", "kube", "backends", "crds"],
  controller: ["kube", "crds"],
  backends: ["crds"],
  crds: [],
  kube: [],
  simulators: [],
};

const Report = z.object({ diagnostics: z.array(z.object({ filename: z.string(), code: z.string().optional() })) });

let project: string;
let violations: Set<string>;

/** Each planted file (path from the root), and the file it imports. */
const planted = new Map<string, string>();

function plant(name: string, from: string, to: string): string {
  const file = `${dirname(from)}/${name}.ts`;
  planted.set(file, to);
  return file;
}

const pairs = ROOMS.flatMap((from) =>
  ROOMS.filter((to) => to !== from).map((to) => ({
    from,
    to,
    allowed: ALLOWED[from].includes(to),
    // Files lie at the top of a room or in a folder of it; the rule must see both, also as a type import.
    files: [
      plant(`top-to-${to}`, `src/${from}/x.ts`, `src/${to}/thing.ts`),
      plant(`deep-to-${to}`, `src/${from}/inner/folder/x.ts`, `src/${to}/inner/thing.ts`),
    ],
  })),
);
const toMain = ROOMS.filter((room) => room !== "cli").map((room) =>
  plant("to-main", `src/${room}/x.ts`, "src/main.ts"),
);
const toTests = ROOMS.filter((room) => room !== "cli").map((room) =>
  plant("to-test", `src/${room}/x.ts`, "test/support/thing.ts"),
);
const within = ROOMS.map((room) => plant("within", `src/${room}/inner/x.ts`, `src/${room}/thing.ts`));
const types = plant("to-kube-types", "src/crds/x.ts", "src/kube/types.ts");
const dialect = plant("to-dialect", "src/simulators/kanto/x.ts", "src/backends/kanto/dialect.ts");
const encoder = plant("to-encoder", "src/simulators/kanto/x.ts", "src/backends/kanto/envelope.ts");

beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), "import-rules-"));
  copyFileSync(join(ROOT, ".oxlintrc.json"), join(project, ".oxlintrc.json"));
  for (const [file, target] of planted) {
    const path = join(project, file);
    mkdirSync(dirname(path), { recursive: true });
    const from = relative(dirname(file), target);
    const specifier = from.startsWith(".") ? from : `./${from}`;
    writeFileSync(
      path,
      `import type { A } from "${specifier}";\nimport { b } from "${specifier}";\nexport const c: A = b;\n`,
    );
  }
  const oxlint = join(ROOT, "node_modules/oxlint/bin/oxlint");
  const linted = spawnSync(process.execPath, [oxlint, "--format=json", "src"], { cwd: project, encoding: "utf8" });
  violations = new Set(
    Report.parse(JSON.parse(linted.stdout))
      .diagnostics.filter(({ code }) => code?.includes("no-restricted-imports"))
      .map(({ filename }) => filename),
  );
});

afterAll(() => rmSync(project, { recursive: true, force: true }));

describe.each(pairs)("$from -> $to", ({ allowed, files }) => {
  test(allowed ? "is allowed" : "is reported", () => {
    expect(files.filter((file) => violations.has(file))).toEqual(allowed ? [] : files);
  });
});

test("a room may import itself", () => {
  expect(within.filter((file) => violations.has(file))).toEqual([]);
});

test("nobody imports main.ts", () => {
  expect(toMain.filter((file) => violations.has(file))).toEqual(toMain);
});

test("src never imports test code", () => {
  expect(toTests.filter((file) => violations.has(file))).toEqual(toTests);
});

test("crds may import the generic object types of src/kube", () => {
  expect(violations.has(types)).toBe(false);
});

test("a simulator may import a backend's dialect data, never its encoders", () => {
  expect([violations.has(dialect), violations.has(encoder)]).toEqual([false, true]);
});

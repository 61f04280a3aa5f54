import { describe, expect, test } from "vitest";
import { problemsOf, SCHEMAS } from "../../../src/crds/parse.ts";
import * as backend from "../../integration/crds/cases/edge-backend.ts";
import * as container from "../../integration/crds/cases/edge-container.ts";
import * as device from "../../integration/crds/cases/edge-device.ts";
import * as registry from "../../integration/crds/cases/edge-registry.ts";
import * as stack from "../../integration/crds/cases/edge-stack.ts";
import { GOOD_SPECS, type Kind, type LooseSpec } from "../../integration/crds/objects.ts";

const CASES = {
  EdgeContainer: container,
  EdgeDevice: device,
  EdgeBackend: backend,
  EdgeStack: stack,
  EdgeRegistry: registry,
};

/** Unknown fields are left out at run time: a newer version may have written them. */
const SERVER_ONLY = new Set(["unknown field", "a device in a template"]);

/** As it comes from the API server: JSON, so without fields that are undefined. */
function specOf(kind: Kind, changes: LooseSpec): unknown {
  return JSON.parse(JSON.stringify({ ...GOOD_SPECS[kind], ...changes }));
}

describe.each(Object.keys(CASES) as Kind[])("run-time parsing of %s, on the cases of admission,", (kind) => {
  test.each(Object.entries(CASES[kind].GOOD))("takes %s, changing nothing", (_, changes) => {
    const spec = specOf(kind, changes);
    expect(SCHEMAS[kind].spec.parse(spec)).toEqual(spec);
  });

  const bad = Object.entries(CASES[kind].BAD).filter(([name]) => !SERVER_ONLY.has(name));
  test.each(bad)("refuses %s", (_, [changes]) => {
    const parsed = SCHEMAS[kind].spec.safeParse(specOf(kind, changes));
    expect(parsed.success).toBe(false);
    expect(parsed.error === undefined ? [] : problemsOf(parsed.error, "spec")).not.toEqual([]);
  });
});

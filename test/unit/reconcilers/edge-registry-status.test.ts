import { describe, expect, test } from "vitest";
import type { EdgeRegistry, RegistryProject } from "../../../src/crds/edge-registry.ts";
import { computeRegistryStatus, type RegistryFindings } from "../../../src/reconcilers/edge-registry/status.ts";

const NOW = Date.parse("2026-01-01T00:10:00Z");
const object = (status?: EdgeRegistry["status"]): EdgeRegistry => ({
  apiVersion: "edge.drayage.dev/v1alpha1",
  kind: "EdgeRegistry",
  metadata: { name: "acme", namespace: "line", uid: "u", resourceVersion: "1", generation: 3 },
  spec: { host: "ghcr.io", credentialsSecretRef: { name: "login" }, backendRefs: [{ name: "cloud" }] },
  ...(status !== undefined && { status }),
});
const CLOUD = { namespace: "line", name: "cloud", use: "PerProject" as const, ready: true };
const project = (changes: Partial<RegistryProject> = {}): RegistryProject => ({
  backendNamespace: "line",
  backendName: "cloud",
  projectId: "p-1",
  state: "Ready",
  ...changes,
});
const findings = (changes: Partial<RegistryFindings> = {}): RegistryFindings => ({
  login: { ok: true },
  backends: [CLOUD],
  projects: [project()],
  ...changes,
});

/** type, status and reason of each condition. */
function conditions(of: RegistryFindings, before?: EdgeRegistry["status"]): Record<string, string> {
  const { conditions: all = [] } = computeRegistryStatus(object(before), of, NOW);
  for (const each of all) expect(each.observedGeneration).toBe(3);
  return Object.fromEntries(all.map(({ type, status, reason }) => [type, `${status} ${reason}`]));
}

describe("Ready tells the first thing that has to be mended:", () => {
  const missing = { ...CLOUD, use: "Unknown" as const, ready: false, missing: "BackendNotFound", message: "gone" };
  const kanto = { ...CLOUD, name: "press", use: "Unsupported" as const, message: "kanto takes none" };
  const secret = { ok: false as const, reason: "SecretNotFound", message: "no Secret" };
  test.each<[string, Partial<RegistryFindings>, Record<string, string>]>([
    ["nothing", {}, { Ready: "True Ready", Accepted: "True Accepted" }],
    [
      "the Secret before all else",
      { login: secret, backends: [kanto, missing] },
      { Ready: "False Rejected", Accepted: "False SecretNotFound", Reconciling: "True WaitingForReference" },
    ],
    [
      "a backend that takes no login",
      { backends: [kanto, missing] },
      { Ready: "False Unsupported", Accepted: "False BackendNotFound", Stalled: "True UnsupportedField" },
    ],
    [
      "a backend that is not there",
      { backends: [missing] },
      { Ready: "False BackendNotReady", Accepted: "False BackendNotFound", Reconciling: "True WaitingForReference" },
    ],
    [
      "somebody else's registry",
      { projects: [project({ state: "Failed" }), project({ state: "Conflict" })] },
      { Ready: "False Conflict", Reconciling: "True WaitingForRelease" },
    ],
    [
      "a refusal",
      { projects: [project({ state: "Pending" }), project({ state: "Failed", message: "412" })] },
      { Ready: "False OperationFailed", Reconciling: "True BackingOff" },
    ],
    [
      "work under way",
      { projects: [project(), project({ state: "Creating" })] },
      { Ready: "False Progressing", Reconciling: "True Updating" },
    ],
    [
      "a suspended backend beside it",
      { suspendedBy: "suspended" },
      { Ready: "True Ready", Suspended: "True Suspended" },
    ],
  ])("%s", (_, changes, expected) => {
    const shown = conditions(findings(changes));
    expect(shown).toMatchObject(expected);
    for (const type of ["Reconciling", "Stalled", "Suspended"])
      if (!(type in expected)) expect(shown).not.toHaveProperty(type);
  });
});

test.each<[string, RegistryProject[], string]>([
  [
    "as soon as one project says so, it is invalid",
    [project({ credentialsValid: true }), project({ credentialsValid: false })],
    "False Invalid",
  ],
  ["valid takes all", [project({ credentialsValid: true }), project({ credentialsValid: true })], "True Valid"],
  [
    "what the vendor says of somebody else's login is not about ours",
    [project({ credentialsValid: true }), project({ state: "Conflict", credentialsValid: true })],
    "Unknown NotChecked",
  ],
  ["one that has not been told leaves it open", [project({ credentialsValid: true }), project()], "Unknown NotChecked"],
  ["where nobody tells it is open", [], "Unknown NotChecked"],
])("CredentialsValid: %s", (_, projects, expected) => {
  expect(conditions(findings({ projects }))["CredentialsValid"]).toBe(expected);
});

test("a conflict is Stalled after two minutes, whatever went on before it, until it ends", () => {
  const conflict = (ms: number) =>
    findings({
      projects: [project({ state: "Conflict", message: "theirs", conflictSince: new Date(NOW - ms).toISOString() })],
    });
  const busy = findings({ projects: [project({ state: "Creating" })] });
  const longBusy = computeRegistryStatus(object(), busy, NOW - 600_000);
  expect(conditions(conflict(119_000), longBusy)).toMatchObject({ Reconciling: "True WaitingForRelease" });
  const old = conditions(conflict(120_000));
  expect(old).toMatchObject({ Ready: "False Conflict", Stalled: "True NameConflict" });
  expect(old).not.toHaveProperty("Reconciling");
  expect(conditions(findings(), computeRegistryStatus(object(), conflict(120_000), NOW))).not.toHaveProperty("Stalled");
});

test("what is internal to a pass is not in status, and no list is there without entries", () => {
  const status = computeRegistryStatus(object(), findings({ projects: [] }), NOW);
  expect(status).not.toHaveProperty("projects");
  expect(status.backends).toEqual([{ namespace: "line", name: "cloud", use: "PerProject" }]);
});

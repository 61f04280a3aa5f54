/** status of an EdgeRegistry, computed in one place. Pure. */
import { rebuildConditions, type ConditionInput } from "../../controller/conditions.ts";
import type { EdgeRegistry, EdgeRegistryStatus, RegistryBackend, RegistryProject } from "../../crds/edge-registry.ts";
import type { RegistryReadyReason } from "../../crds/reasons.ts";
import { CONFLICT_STALLS_AFTER_MS } from "../edge-container/conditions.ts";

/** What one pass found out. */
export interface RegistryFindings {
  /** Why the Secret cannot be used. */
  login: { ok: true } | { ok: false; reason: string; message: string };
  backends: readonly (RegistryBackend & { missing?: string; ready: boolean })[];
  projects: readonly RegistryProject[];
  /** Why nothing is changed now. */
  suspendedBy?: string;
}

/** The whole status. */
export function computeRegistryStatus(
  object: EdgeRegistry,
  findings: RegistryFindings,
  nowMs: number,
): EdgeRegistryStatus {
  const observedGeneration = object.metadata.generation ?? 0;
  return {
    observedGeneration,
    backends: findings.backends.map(({ missing: _missing, ready: _ready, ...status }) => status),
    ...(findings.projects.length > 0 && { projects: [...findings.projects] }),
    conditions: rebuildConditions(object.status?.conditions, registryConditions(object, findings, nowMs), {
      observedGeneration,
      nowMs,
    }),
  };
}

interface Verdict {
  reason: Exclude<RegistryReadyReason, "Ready">;
  message: string;
  /** Reason of Reconciling, or of Stalled where only the spec helps. */
  reconciling?: string;
  stalled?: string;
}

function registryConditions(object: EdgeRegistry, findings: RegistryFindings, nowMs: number): ConditionInput[] {
  const conditions: ConditionInput[] = [accepted(findings), credentialsValid(findings)];
  const verdict = judge(findings, nowMs);
  if (verdict === undefined)
    conditions.push({ type: "Ready", status: "True", reason: "Ready", message: readyMessage(findings) });
  else {
    const { reason, message, reconciling, stalled } = verdict;
    conditions.push({ type: "Ready", status: "False", reason, message });
    if (reconciling !== undefined)
      conditions.push({ type: "Reconciling", status: "True", reason: reconciling, message });
    if (stalled !== undefined) conditions.push({ type: "Stalled", status: "True", reason: stalled, message });
  }
  if (object.metadata.deletionTimestamp !== undefined)
    conditions.push({
      type: "Reconciling",
      status: "True",
      reason: "Removing",
      message: `being deleted: the login is taken out of ${findings.projects.length} projects, at most for spec.deletion.graceSeconds`,
    });
  if (findings.suspendedBy !== undefined)
    conditions.push({ type: "Suspended", status: "True", reason: "Suspended", message: findings.suspendedBy });
  return conditions;
}

/** The first thing that is wrong, in the order in which it has to be mended; undefined: nothing is. */
function judge({ login, backends, projects }: RegistryFindings, nowMs: number): Verdict | undefined {
  if (!login.ok) return { reason: "Rejected", message: login.message, reconciling: "WaitingForReference" };
  const unsupported = backends.filter(({ use }) => use === "Unsupported");
  if (unsupported.length > 0)
    return { reason: "Unsupported", message: joined(unsupported), stalled: "UnsupportedField" };
  const away = backends.filter(({ ready }) => !ready);
  if (away.length > 0) return { reason: "BackendNotReady", message: joined(away), reconciling: "WaitingForReference" };
  const inState = (state: RegistryProject["state"]) => projects.filter((project) => project.state === state);
  const conflicts = inState("Conflict");
  if (conflicts.length > 0)
    return {
      reason: "Conflict",
      message: joinedProjects(conflicts),
      ...(conflicts.some((each) => isOldConflict(each, nowMs))
        ? { stalled: "NameConflict" }
        : { reconciling: "WaitingForRelease" }),
    };
  const failed = inState("Failed");
  if (failed.length > 0)
    return { reason: "OperationFailed", message: joinedProjects(failed), reconciling: "BackingOff" };
  const open = projects.filter(({ state }) => state !== "Ready");
  if (open.length > 0) return { reason: "Progressing", message: joinedProjects(open), reconciling: "Updating" };
  return undefined;
}

/** It has stood so long that waiting alone will hardly end it. */
function isOldConflict({ conflictSince }: RegistryProject, nowMs: number): boolean {
  return conflictSince !== undefined && nowMs - Date.parse(conflictSince) >= CONFLICT_STALLS_AFTER_MS;
}

function accepted({ login, backends }: RegistryFindings): ConditionInput {
  const refuse = (reason: string, message: string): ConditionInput => ({
    type: "Accepted",
    status: "False",
    reason,
    message,
  });
  if (!login.ok) return refuse(login.reason, login.message);
  const missing = backends.find((backend) => backend.missing !== undefined);
  if (missing?.missing !== undefined) return refuse(missing.missing, missing.message ?? "");
  const unsupported = backends.filter(({ use }) => use === "Unsupported");
  if (unsupported.length > 0) return refuse("Rejected", joined(unsupported));
  return {
    type: "Accepted",
    status: "True",
    reason: "Accepted",
    message: "the spec and what it refers to can be used",
  };
}

function credentialsValid({ projects }: RegistryFindings): ConditionInput {
  const type = "CredentialsValid";
  // Where somebody else's login stands, the vendor's word is about that one.
  const foreign = projects.filter(({ state }) => state === "Conflict");
  const refused = projects.filter(({ credentialsValid: valid, state }) => valid === false && state !== "Conflict");
  if (refused.length > 0)
    return {
      type,
      status: "False",
      reason: "Invalid",
      message: `the registry refuses the login, as the vendor last checked, in ${list(refused)}; after a change this may take a while to turn`,
    };
  const standing = projects.filter(({ state }) => state !== "Removing");
  if (standing.length > 0 && foreign.length === 0 && standing.every(({ credentialsValid: valid }) => valid === true))
    return {
      type,
      status: "True",
      reason: "Valid",
      message: "the registry takes the login, as the vendor last checked",
    };
  if (foreign.length > 0)
    return {
      type,
      status: "Unknown",
      reason: "NotChecked",
      message: `somebody else's login stands in ${list(foreign)}: whether the registry takes this one is not known`,
    };
  const message =
    standing.length > 0
      ? "the vendor has not told yet whether the registry takes the login"
      : "no backend that is named tells: whether the registry takes the login shows when an image is pulled";
  return { type, status: "Unknown", reason: "NotChecked", message };
}

function readyMessage({ backends, projects }: RegistryFindings): string {
  const perContainer = backends.filter(({ use }) => use === "PerContainer").map(({ name }) => name);
  const parts = [
    ...(projects.length > 0 ? [`the login stands in ${list(projects)}`] : []),
    ...(perContainer.length > 0 ? [`it goes with each container on ${perContainer.join(", ")}`] : []),
    ...backends
      .filter(({ use, message }) => use === "PerProject" && message !== undefined)
      .map(({ message }) => message),
  ];
  return parts.join("; ");
}

function joined(backends: RegistryFindings["backends"]): string {
  return backends.map(({ name, message }) => message ?? name).join("; ");
}

function joinedProjects(projects: readonly RegistryProject[]): string {
  const words: Readonly<Partial<Record<RegistryProject["state"], string>>> = {
    Pending: "to be set",
    Creating: "on its way",
    Removing: "being removed",
  };
  return projects
    .slice(0, 5)
    .map(({ projectId, state, message }) => `project ${projectId}: ${message ?? words[state] ?? state}`)
    .join("; ");
}

function list(projects: readonly RegistryProject[]): string {
  const names = projects.slice(0, 5).map(({ projectId }) => projectId);
  const more = projects.length - names.length;
  return `project${projects.length === 1 ? "" : "s"} ${names.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

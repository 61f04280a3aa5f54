/** From spec to DesiredContainer: references resolved, defaults applied, checked against the backend before anything is sent. */
import type { DesiredContainer, FieldProblem, Planner } from "../../backends/contract.ts";
import type { EdgeContainer, EdgeContainerSpec } from "../../crds/edge-container.ts";
import type { Environment } from "../environment.ts";
import type { Acceptance, Scope } from "./scope.ts";
import { resolveLogin, type Whereabouts } from "./registries.ts";
import { secretValues, withoutSecrets } from "./redact.ts";
import { resolveDecryption, resolveEnv, resolveText, type ReferenceProblem } from "./values.ts";

/** Fills `desired`, `hash`, `ignored` and `acceptance` of the scope. Rejects only if the API server cannot be asked. */
export async function desire(scope: Scope, where: Whereabouts, env: Environment): Promise<void> {
  const { planner } = where;
  const namespace = scope.object.metadata.namespace ?? "";
  const { spec } = scope.object;
  const resolved = await resolveEnv(spec, namespace, env.references);
  if (!resolved.ok) {
    scope.acceptance = { accepted: false, kind: "Waiting", ...resolved.problem };
    return;
  }
  const keys = await resolveDecryption(spec, namespace, env.references);
  if (!keys.ok) {
    scope.acceptance = { accepted: false, kind: "Waiting", ...keys.problem };
    return;
  }
  const extra = await resolveExtra(scope, where, namespace, env);
  if (!extra.ok) {
    scope.acceptance = { accepted: false, kind: "Waiting", ...extra.problem };
    return;
  }
  const desired = {
    ...desiredContainer(scope.object, scope.settings.desiredState, resolved.env, keys.decryption),
    name: nameOnDevice(scope.object, planner, env.options.ownerId),
    ...extra.values,
  };
  scope.desired = desired;
  if (scope.target !== undefined) {
    const { snapshot } = scope.target;
    const containers = withoutSecrets(snapshot.containers, secretValues(desired, resolved.fromSecret));
    scope.target = { ...scope.target, snapshot: { ...snapshot, containers } };
  }
  scope.exposed = exposedBy(planner, resolved.fromSecret, keys.decryption);
  scope.hash = env.hashKey.hash(planner.identity(desired));
  if (scope.settings.policy.managementPolicy === "Observe") return;
  const problems = [...strategyProblems(scope.object.spec, planner), ...planner.validate(desired)];
  scope.ignored = problems.filter((problem) => problem.kind === "Ignored");
  const refused = problems.filter((problem) => problem.kind !== "Ignored");
  const [first] = refused;
  if (first === undefined) {
    if (planner.rentals !== undefined && !env.options.ownerIdIsExplicit)
      scope.acceptance = {
        accepted: false,
        kind: "Waiting",
        reason: "BackendNotReady",
        message:
          "this backend rents machines, which must be found again when this cluster is gone: run the operator with an explicit --owner-id; nothing is rented until then",
      };
    return;
  }
  scope.acceptance = {
    accepted: false,
    kind: "Rejected",
    reason: "Rejected",
    stalledReason: first.reason,
    message: refused.map((problem) => `${problem.path}: ${problem.message}`).join("; "),
  } satisfies Acceptance;
}

/** What this backend needs beside env. */
async function resolveExtra(
  scope: Scope,
  where: Whereabouts,
  namespace: string,
  env: Environment,
): Promise<
  | { ok: true; values: Pick<DesiredContainer, "startupScript" | "registryAuth"> }
  | { ok: false; problem: ReferenceProblem }
> {
  const { spec } = scope.object;
  const { planner } = where;
  const values: Pick<DesiredContainer, "startupScript" | "registryAuth"> = {};
  if (planner.resolves?.includes("startupScript") === true && spec.startupScript !== undefined) {
    const script = await resolveText(spec.startupScript, namespace, env.references);
    if (!script.ok) return script;
    if (script.text !== undefined) values.startupScript = script.text;
  }
  if (scope.settings.policy.managementPolicy === "Observe") return { ok: true, values };
  const login = await resolveLogin(spec, namespace, where, env);
  if (!login.ok) {
    if (login.make !== undefined) scope.pullLogin = login.make;
    // What is as it shall be pulls nothing: it does not suffer from what only the next pull needs.
    return planner.keepsRegistries === true && isApplied(scope.object) ? { ok: true, values } : login;
  }
  if (login.auth !== undefined) values.registryAuth = login.auth;
  return { ok: true, values };
}

/** The device has what the present generation wants. */
function isApplied({ metadata, status }: EdgeContainer): boolean {
  return status?.external !== undefined && status.applied?.generation === metadata.generation;
}

/** What the vendor shows to others of what Secrets hold. */
function exposedBy(
  planner: Planner,
  fromSecret: ReadonlySet<string>,
  decryption: DesiredContainer["decryption"],
): readonly string[] {
  if (!planner.exposesEnv) return [];
  const { keys = [], recipients = [] } = decryption ?? {};
  return [
    ...(keys.length + recipients.length > 0 ? ["backendOptions.kanto.decryption"] : []),
    ...[...fromSecret].sort(),
  ];
}

/** Where two containers cannot exist side by side there is none to keep, and none to go back to. Pure. */
export function strategyProblems(spec: EdgeContainerSpec, planner: Planner): FieldProblem[] {
  const { type, rollbackOnFailure } = spec.updateStrategy ?? {};
  const refuse = (path: string, message: string): FieldProblem => ({
    path: `updateStrategy.${path}`,
    kind: "Unsupported",
    reason: "UnsupportedField",
    message,
  });
  if (planner.coexistence && planner.policies !== undefined) {
    // By default it is only a setting for Swap; asked for, it is a promise that the other types cannot keep.
    const idle = rollbackOnFailure === true && type !== "Swap";
    const message = "only type Swap keeps the old container to go back to";
    return idle ? [{ ...refuse("rollbackOnFailure", message), kind: "Ignored" }] : [];
  }
  if (type === "Swap")
    return [refuse("type", `${planner.type} cannot run two containers side by side: use Recreate, or leave type out`)];
  return rollbackOnFailure === true
    ? [refuse("rollbackOnFailure", `${planner.type} keeps no old container: leave rollbackOnFailure out`)]
    : [];
}

/** spec.name, else what the backend makes of the object's own. Pure. */
export function nameOnDevice({ spec, metadata }: EdgeContainer, planner: Planner, owner: string): string {
  const { namespace = "", name } = metadata;
  return spec.name ?? planner.containerName?.({ owner, namespace, name }) ?? name;
}

/** Pure. Without an image (Observe) the reference is empty and never compared. */
export function desiredContainer(
  object: EdgeContainer,
  state: DesiredContainer["state"],
  env: DesiredContainer["env"],
  decryption?: DesiredContainer["decryption"],
): DesiredContainer {
  return {
    name: object.spec.name ?? object.metadata.name,
    image: object.spec.image ?? "",
    state,
    env,
    ...(decryption !== undefined && { decryption }),
    spec: object.spec,
  };
}

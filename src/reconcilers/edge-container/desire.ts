/** From spec to DesiredContainer: references resolved, defaults applied, checked against the backend before anything is sent. */
import type { DesiredContainer, Planner } from "../../backends/contract.ts";
import type { EdgeContainer } from "../../crds/edge-container.ts";
import type { Environment } from "../environment.ts";
import type { Acceptance, Scope } from "./scope.ts";
import { resolveEnv } from "./values.ts";

/** Fills `desired`, `hash`, `ignored` and `acceptance` of the scope. Rejects only if the API server cannot be asked. */
export async function desire(scope: Scope, planner: Planner, env: Environment): Promise<void> {
  const namespace = scope.object.metadata.namespace ?? "";
  const resolved = await resolveEnv(scope.object.spec, namespace, env.references);
  if (!resolved.ok) {
    scope.acceptance = { accepted: false, kind: "Waiting", ...resolved.problem };
    return;
  }
  const desired = desiredContainer(scope.object, scope.settings.desiredState, resolved.env);
  scope.desired = desired;
  scope.secretEnv = [...resolved.fromSecret].sort();
  scope.hash = env.hashKey.hash(planner.identity(desired));
  if (scope.settings.policy.managementPolicy === "Observe") return;
  const problems = [...operatorProblems(scope), ...planner.validate(desired)];
  scope.ignored = problems.filter((problem) => problem.kind === "Ignored");
  const refused = problems.filter((problem) => problem.kind !== "Ignored");
  const [first] = refused;
  if (first === undefined) return;
  scope.acceptance = {
    accepted: false,
    kind: "Rejected",
    reason: "Rejected",
    stalledReason: first.reason,
    message: refused.map((problem) => `${problem.path}: ${problem.message}`).join("; "),
  } satisfies Acceptance;
}

/** What no backend of this version can do, whatever the vendor. */
function operatorProblems(scope: Scope): ReturnType<Planner["validate"]> {
  const problems: ReturnType<Planner["validate"]> = [];
  if (scope.object.spec.updateStrategy?.rollbackOnFailure === true)
    problems.push({
      path: "spec.updateStrategy.rollbackOnFailure",
      kind: "Unsupported",
      reason: "UnsupportedField",
      message: "rolling back is not supported by this version yet; leave it out or set it to false",
    });
  if (scope.settings.policy.updateStrategy !== "Swap") return problems;
  return [
    ...problems,
    {
      path: "spec.updateStrategy.type",
      kind: "Unsupported",
      reason: "UnsupportedField",
      message: "Swap is not supported by this version yet; use Recreate, InPlaceOnly or OnDelete",
    },
  ];
}

/** Pure. Without an image (Observe) the reference is empty and never compared. */
export function desiredContainer(
  object: EdgeContainer,
  state: DesiredContainer["state"],
  env: DesiredContainer["env"],
): DesiredContainer {
  return {
    name: object.spec.name ?? object.metadata.name,
    image: object.spec.image ?? "",
    state,
    env,
    spec: object.spec,
  };
}

/**
 * The mittwald backend: services in stacks of mStudio projects, over the Containers API (https://developer.mittwald.de, v2). It is declarative
 * itself, and people, their tools and the vendor's own schedules write to the same stacks: everything here changes only the services that carry
 * our mark. Which of the vendor's operations are used, and why others are not, stands in docs/backends/mittwald.md.
 *
 * account.ts holds the connection, its projects and their sessions; project.ts the list that a project's devices share; session.ts one stack;
 * look.ts, flight.ts and change.ts its commands; inventory.ts what is known of its services; states.ts their states and runs; images.ts the tags; logs.ts the logs;
 * planner.ts and validate.ts the pure half; wire.ts, marker.ts and normalise.ts what is sent and compared; client.ts, answers.ts, events.ts
 * and types.ts the API.
 */
import type { EdgeBackendSpec } from "../../crds/edge-backend.ts";
import type { EdgeDeviceSpec } from "../../crds/edge-device.ts";
import { BACKEND_DEFAULTS } from "../../crds/default-values.ts";
import type { Backend, BackendDeps, FieldProblem } from "../contract.ts";
import { targetKeyOf } from "../http/account.ts";
import { invalid, validateHttp } from "../http/validate.ts";
import { MittwaldAccount, targetOf } from "./account.ts";
import { mittwaldPlanner } from "./planner.ts";

export { mittwaldPlanner } from "./planner.ts";

/** The vendor holds a read for up to 10 s until a write is in its read model; a former process's write is not waited for, so twice that. */
const SETTLE_MS = 20_000;

/** @returns the backend; nothing is connected before `connect`. */
export function createMittwaldBackend(deps: BackendDeps): Backend {
  return {
    type: "mittwald",
    planner: mittwaldPlanner,
    settleMs: deps.timings.settleMs ?? SETTLE_MS,
    validateBackend,
    validateDevice,
    connect: (spec, credentials) => {
      if (spec.mittwald === undefined) throw new RangeError("not an EdgeBackend of type mittwald");
      return new MittwaldAccount(spec, spec.mittwald, credentials, deps, SETTLE_MS);
    },
    targetKey: (backend, device) => {
      if (backend.mittwald === undefined || device.mittwald === undefined) return undefined;
      const url = backend.mittwald.url ?? BACKEND_DEFAULTS.mittwald.url;
      const { projectId, stackId } = device.mittwald;
      return URL.canParse(url) ? targetKeyOf("mittwald", new URL(url).origin, targetOf(projectId, stackId)) : undefined;
    },
  };
}

function validateBackend(spec: EdgeBackendSpec): FieldProblem[] {
  if (spec.mittwald === undefined) return [invalid("mittwald", "set spec.mittwald")];
  return validateHttp(spec, "mittwald.url", spec.mittwald.url ?? BACKEND_DEFAULTS.mittwald.url, "token");
}

function validateDevice(spec: EdgeDeviceSpec): FieldProblem[] {
  const { mittwald } = spec;
  if (mittwald === undefined)
    return [invalid("mittwald", "the EdgeBackend is of type mittwald: set spec.mittwald.projectId")];
  return mittwald.projectId.trim() === "" ? [invalid("mittwald.projectId", "must not be empty")] : [];
}

/**
 * The Hiveon backend: containers on rented machines, over the vendors API (https://clore-docs.hiveon.ai/api-endpoints). What is sent, what is
 * verified and what is not stands in docs/backends/hiveon.md.
 *
 * account.ts holds the connection and its machines' sessions; session.ts one machine; flight.ts its two commands; ledger.ts what is known of
 * rentals; planner.ts the pure half; wire.ts the JSON.
 */
import type { EdgeBackendSpec } from "../../crds/edge-backend.ts";
import type { EdgeDeviceSpec } from "../../crds/edge-device.ts";
import { BACKEND_DEFAULTS } from "../../crds/default-values.ts";
import type { Backend, BackendDeps, FieldProblem } from "../contract.ts";
import { targetKeyOf } from "../http/account.ts";
import { invalid, validateHttp } from "../http/validate.ts";
import { HiveonAccount } from "./account.ts";
import { hiveonPlanner } from "./planner.ts";

export { hiveonPlanner } from "./planner.ts";

/**
 * How long a start may take to become visible, ms. The vendor says nothing about it; a minute is what was chosen to be safe with money, since a
 * second start is a second rental.
 */
const SETTLE_MS = 60_000;

/** @returns the backend; nothing is connected before `connect`. */
export function createHiveonBackend(deps: BackendDeps): Backend {
  const settleMs = deps.timings.settleMs ?? SETTLE_MS;
  return {
    type: "hiveon",
    planner: hiveonPlanner,
    settleMs,
    validateBackend,
    validateDevice,
    connect: (spec, credentials) => {
      if (spec.hiveon === undefined) throw new RangeError("not an EdgeBackend of type hiveon");
      return new HiveonAccount(spec, spec.hiveon, credentials, deps, settleMs);
    },
    targetKey: (backend, device) => {
      if (backend.hiveon === undefined || device.hiveon === undefined) return undefined;
      const url = backend.hiveon.url ?? BACKEND_DEFAULTS.hiveon.url;
      return URL.canParse(url) ? targetKeyOf("hiveon", new URL(url).origin, device.hiveon.machineId) : undefined;
    },
  };
}

function validateBackend(spec: EdgeBackendSpec): FieldProblem[] {
  const { hiveon } = spec;
  if (hiveon === undefined) return [invalid("hiveon", "set spec.hiveon")];
  const problems = validateHttp(spec, "hiveon.url", hiveon.url ?? BACKEND_DEFAULTS.hiveon.url, "apiKey");
  if (hiveon.externalIdPath !== undefined && !hiveon.externalIdPath.includes("{id}"))
    problems.push(invalid("hiveon.externalIdPath", "write an absolute path with {id} in it"));
  return problems;
}

function validateDevice(spec: EdgeDeviceSpec): FieldProblem[] {
  const { hiveon } = spec;
  if (hiveon === undefined)
    return [invalid("hiveon", "the EdgeBackend is of type hiveon: set spec.hiveon.machineId and machinePriceId")];
  return [
    ...(hiveon.machineId.trim() === "" ? [invalid("hiveon.machineId", "must not be empty")] : []),
    ...(hiveon.machinePriceId.trim() === "" ? [invalid("hiveon.machinePriceId", "must not be empty")] : []),
  ];
}

/**
 * The ALPON backend: containers on Sixfab's ALPON devices, over the Connect API (https://docs.sixfab.com/reference). What is sent, what is
 * verified by which text and what is not stands in docs/backends/alpon.md.
 *
 * account.ts holds the connection and its devices' sessions; session.ts one device; flight.ts its commands; inventory.ts what is known of its
 * containers; stream-decoder.ts the streams; errors-table.ts the vendor's sentences; planner.ts the pure half; wire.ts the JSON; dialect.ts
 * whatever the vendor does not document.
 */
import type { EdgeBackendSpec } from "../../crds/edge-backend.ts";
import type { EdgeDeviceSpec } from "../../crds/edge-device.ts";
import { BACKEND_DEFAULTS } from "../../crds/default-values.ts";
import type { Backend, BackendDeps, FieldProblem } from "../contract.ts";
import { targetKeyOf } from "../http/account.ts";
import { invalid, validateHttp } from "../http/validate.ts";
import { AlponAccount } from "./account.ts";
import { alponPlanner } from "./planner.ts";

export { alponPlanner } from "./planner.ts";

/** How long a deployment may take to be listed, ms. The vendor says nothing about it; a second deploy would only be told that the name is taken. */
const SETTLE_MS = 15_000;

/** @returns the backend; nothing is connected before `connect`. */
export function createAlponBackend(deps: BackendDeps): Backend {
  const settleMs = deps.timings.settleMs ?? SETTLE_MS;
  return {
    type: "alpon",
    planner: alponPlanner,
    settleMs,
    validateBackend,
    validateDevice,
    connect: (spec, credentials) => {
      if (spec.alpon === undefined) throw new RangeError("not an EdgeBackend of type alpon");
      return new AlponAccount(spec, spec.alpon, credentials, deps, settleMs);
    },
    targetKey: (backend, device) => {
      if (backend.alpon === undefined || device.alpon === undefined) return undefined;
      const url = backend.alpon.url ?? BACKEND_DEFAULTS.alpon.url;
      return URL.canParse(url) ? targetKeyOf("alpon", new URL(url).origin, device.alpon.assetId) : undefined;
    },
  };
}

function validateBackend(spec: EdgeBackendSpec): FieldProblem[] {
  const { alpon } = spec;
  if (alpon === undefined) return [invalid("alpon", "set spec.alpon")];
  const problems = validateHttp(spec, "alpon.url", alpon.url ?? BACKEND_DEFAULTS.alpon.url, "apiKey");
  const { portHost, portContainer, volumeHost, volumeContainer } = alpon.dialect ?? {};
  if (portHost !== undefined && portHost === portContainer)
    problems.push(invalid("alpon.dialect.portContainer", "name another key than portHost"));
  if (volumeHost !== undefined && volumeHost === volumeContainer)
    problems.push(invalid("alpon.dialect.volumeContainer", "name another key than volumeHost"));
  return problems;
}

function validateDevice(spec: EdgeDeviceSpec): FieldProblem[] {
  if (spec.alpon === undefined) return [invalid("alpon", "the EdgeBackend is of type alpon: set spec.alpon.assetId")];
  return spec.alpon.assetId.trim() === "" ? [invalid("alpon.assetId", "must not be empty")] : [];
}

/** A container's restart policy, written down while the container is held still, and given back. */
import type { PolicyKeeper } from "../../contract.ts";
import { isObject, numberAt, parseJson, textAt } from "../../guards.ts";
import type { RestartPolicy } from "../config.ts";
import { configOf } from "./diff.ts";
import { wireRestartPolicy } from "./wire.ts";

const TYPES: ReadonlySet<string> = new Set(["ALWAYS", "ON_FAILURE", "UNLESS_STOPPED", "NO"]);

/** What is written down is JSON in the words of the twin. */
export const policies: PolicyKeeper = {
  save: (observed) => JSON.stringify(configOf(observed).restartPolicy),
  restore: (observed, saved) => {
    const policy = readPolicy(saved);
    if (policy === undefined || isSame(policy, configOf(observed).restartPolicy)) return undefined;
    const payload = { restartPolicy: wireRestartPolicy(policy) };
    return { kind: "Update", externalId: observed.externalId, payload, paths: ["restartPolicy"] };
  },
};

/** The journal is in status, which others can write: what does not parse is taken for nothing. */
function readPolicy(saved: string): RestartPolicy | undefined {
  const parsed = parseJson(saved);
  if (!isObject(parsed)) return undefined;
  const type = textAt(parsed, "type");
  if (type === undefined || !TYPES.has(type)) return undefined;
  return {
    type,
    maxRetryCount: numberAt(parsed, "maxRetryCount") ?? 0,
    retryTimeout: numberAt(parsed, "retryTimeout") ?? 0,
  };
}

function isSame(a: RestartPolicy, b: RestartPolicy): boolean {
  return a.type === b.type && a.maxRetryCount === b.maxRetryCount && a.retryTimeout === b.retryTimeout;
}

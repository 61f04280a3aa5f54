/** Resolves the references of a spec to values: env, envFrom. A missing one is a wait, not an error: a sibling may bring it. */
import type { RegistryAuth } from "../../backends/contract.ts";
import type { EdgeContainerSpec } from "../../crds/edge-container.ts";
import type { References, ValueData, ValueKind } from "../references.ts";
import { authFor, DOCKER_CONFIG_KEY } from "./registry-auth.ts";

/** A reference that cannot be resolved now; becomes Accepted=False with Reconciling WaitingForReference. */
export interface ReferenceProblem {
  reason: "SecretNotFound" | "SecretKeyMissing" | "SecretMalformed" | "ConfigMapNotFound" | "ConfigMapKeyMissing";
  /** Names the object and the key, never a value. */
  message: string;
}

/** Values, or what is missing. */
export type ResolvedEnv =
  | { ok: true; env: { name: string; value: string }[]; fromSecret: ReadonlySet<string> }
  | { ok: false; problem: ReferenceProblem };

/** A reference that a spec makes. */
export interface ValueReference {
  kind: ValueKind;
  name: string;
}

/** Every Secret and ConfigMap that a spec names: what a change of one must wake. */
export function referencesOf(spec: EdgeContainerSpec): ValueReference[] {
  const found: ValueReference[] = [];
  const add = (kind: ValueKind, name: string | undefined) => {
    if (name !== undefined && !found.some((reference) => reference.kind === kind && reference.name === name))
      found.push({ kind, name });
  };
  for (const source of spec.envFrom ?? []) {
    add("Secret", source.secretRef?.name);
    add("ConfigMap", source.configMapRef?.name);
  }
  for (const entry of spec.env ?? []) {
    add("Secret", entry.valueFrom?.secretKeyRef?.name);
    add("ConfigMap", entry.valueFrom?.configMapKeyRef?.name);
  }
  add("Secret", spec.startupScript?.secretKeyRef?.name);
  add("ConfigMap", spec.startupScript?.configMapKeyRef?.name);
  for (const { name } of spec.imagePullSecrets ?? []) add("Secret", name);
  return found;
}

/**
 * The environment: envFrom in order, then env; a later entry replaces an earlier one of the same name in place, as in a Pod.
 * Rejects only if the API server cannot be asked.
 */
export async function resolveEnv(
  spec: EdgeContainerSpec,
  namespace: string,
  references: References,
): Promise<ResolvedEnv> {
  const values = new Map<string, string>();
  const fromSecret = new Set<string>();
  const put = (name: string, value: string, secret: boolean) => {
    values.set(name, value);
    if (secret) fromSecret.add(name);
    else fromSecret.delete(name);
  };
  const load = async (kind: ValueKind, name: string): Promise<ValueData | undefined> =>
    references.get(kind, { namespace, name });

  for (const source of spec.envFrom ?? []) {
    const kind: ValueKind = source.secretRef === undefined ? "ConfigMap" : "Secret";
    const reference = source.secretRef ?? source.configMapRef;
    if (reference === undefined) continue;
    const data = await load(kind, reference.name);
    if (data === undefined) {
      if (reference.optional === true) continue;
      return missing(kind, namespace, reference.name);
    }
    for (const [name, value] of data) put(`${source.prefix ?? ""}${name}`, value, kind === "Secret");
  }
  for (const entry of spec.env ?? []) {
    const secretRef = entry.valueFrom?.secretKeyRef;
    const reference = secretRef ?? entry.valueFrom?.configMapKeyRef;
    if (reference === undefined) {
      put(entry.name, entry.value ?? "", false);
      continue;
    }
    const kind: ValueKind = secretRef === undefined ? "ConfigMap" : "Secret";
    const data = await load(kind, reference.name);
    const value = data?.get(reference.key);
    if (value === undefined) {
      if (reference.optional === true) continue;
      return data === undefined
        ? missing(kind, namespace, reference.name)
        : missingKey(kind, namespace, reference.name, reference.key, data);
    }
    put(entry.name, value, kind === "Secret");
  }
  return { ok: true, env: [...values].map(([name, value]) => ({ name, value })), fromSecret };
}

/** A text of the spec (startupScript): its value, or what is missing. An optional reference that leads nowhere counts as unset. */
export async function resolveText(
  source: NonNullable<EdgeContainerSpec["startupScript"]>,
  namespace: string,
  references: References,
): Promise<{ ok: true; text: string | undefined } | { ok: false; problem: ReferenceProblem }> {
  const reference = source.secretKeyRef ?? source.configMapKeyRef;
  if (reference === undefined) return { ok: true, text: source.value };
  const kind: ValueKind = source.secretKeyRef === undefined ? "ConfigMap" : "Secret";
  const data = await references.get(kind, { namespace, name: reference.name });
  const text = data?.get(reference.key);
  if (text !== undefined || reference.optional === true) return { ok: true, text };
  return data === undefined
    ? missing(kind, namespace, reference.name)
    : missingKey(kind, namespace, reference.name, reference.key, data);
}

/** The login for the image's registry out of the first of spec.imagePullSecrets that has one. */
export async function resolveRegistryAuth(
  spec: EdgeContainerSpec,
  namespace: string,
  references: References,
): Promise<{ ok: true; auth: RegistryAuth | undefined } | { ok: false; problem: ReferenceProblem }> {
  for (const { name } of spec.imagePullSecrets ?? []) {
    const data = await references.get("Secret", { namespace, name });
    if (data === undefined) return missing("Secret", namespace, name);
    const config = data.get(DOCKER_CONFIG_KEY);
    if (config === undefined) return missingKey("Secret", namespace, name, DOCKER_CONFIG_KEY, data);
    let auth: RegistryAuth | undefined;
    try {
      auth = authFor(spec.image ?? "", config);
    } catch {
      // The parser's own words may quote the Secret.
      const message = `Secret ${namespace}/${name}: key "${DOCKER_CONFIG_KEY}" is no JSON`;
      return { ok: false, problem: { reason: "SecretMalformed", message } };
    }
    if (auth !== undefined) return { ok: true, auth };
  }
  return { ok: true, auth: undefined };
}

function missing(kind: ValueKind, namespace: string, name: string): { ok: false; problem: ReferenceProblem } {
  const reason = kind === "Secret" ? "SecretNotFound" : "ConfigMapNotFound";
  return { ok: false, problem: { reason, message: `${kind} ${namespace}/${name} does not exist` } };
}

function missingKey(
  kind: ValueKind,
  namespace: string,
  name: string,
  key: string,
  data: ValueData,
): { ok: false; problem: ReferenceProblem } {
  const reason = kind === "Secret" ? "SecretKeyMissing" : "ConfigMapKeyMissing";
  const keys = [...data.keys()].sort().slice(0, 10).join(", ");
  return {
    ok: false,
    problem: {
      reason,
      message: `${kind} ${namespace}/${name} has no key "${key}"${keys === "" ? "; it is empty" : `; it has ${keys}`}`,
    },
  };
}

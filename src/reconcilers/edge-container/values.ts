/**
 * Resolves the references of a spec to values: env, envFrom, keys of encrypted images, scripts. A missing one is a wait, not an error: a sibling may
 * bring it.
 */
import type { DesiredContainer } from "../../backends/contract.ts";
import type { EdgeContainerSpec } from "../../crds/edge-container.ts";
import type { SecretKeyRef } from "../../crds/references.ts";
import { NotText, type References, type ValueData, type ValueKind } from "../references.ts";

/** A reference that cannot be resolved now; becomes Accepted=False with Reconciling WaitingForReference. */
export interface ReferenceProblem {
  reason:
    | "SecretNotFound"
    | "SecretKeyMissing"
    | "SecretMalformed"
    | "ConfigMapNotFound"
    | "ConfigMapKeyMissing"
    | "RegistryNotFound"
    | "RegistryNotReady";
  /** Names the object and the key, never a value. */
  message: string;
}

/** Values, or what is missing. */
export type ResolvedEnv =
  | { ok: true; env: { name: string; value: string }[]; fromSecret: ReadonlySet<string> }
  | Unresolved;

/** Something is missing. */
export interface Unresolved {
  ok: false;
  problem: ReferenceProblem;
}

/** Keys and recipients, or what is missing. */
export type ResolvedDecryption = { ok: true; decryption?: DesiredContainer["decryption"] } | Unresolved;

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
  const { keys = [], recipients = [] } = spec.backendOptions?.kanto?.decryption ?? {};
  for (const { name } of [...keys, ...recipients]) add("Secret", name);
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
    for (const [name, value] of data) {
      if (value instanceof NotText) return notText(namespace, reference.name, name);
      put(`${source.prefix ?? ""}${name}`, value, kind === "Secret");
    }
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
    if (value instanceof NotText) return notText(namespace, reference.name, reference.key);
    put(entry.name, value, kind === "Secret");
  }
  return { ok: true, env: [...values].map(([name, value]) => ({ name, value })), fromSecret };
}

/** A text of the spec (startupScript): its value, or what is missing. An optional reference that leads nowhere counts as unset. */
export async function resolveText(
  source: NonNullable<EdgeContainerSpec["startupScript"]>,
  namespace: string,
  references: References,
): Promise<{ ok: true; text: string | undefined } | Unresolved> {
  const reference = source.secretKeyRef ?? source.configMapKeyRef;
  if (reference === undefined) return { ok: true, text: source.value };
  const kind: ValueKind = source.secretKeyRef === undefined ? "ConfigMap" : "Secret";
  const data = await references.get(kind, { namespace, name: reference.name });
  const text = data?.get(reference.key);
  if (text instanceof NotText) return notText(namespace, reference.name, reference.key);
  if (text !== undefined || reference.optional === true) return { ok: true, text };
  return data === undefined
    ? missing(kind, namespace, reference.name)
    : missingKey(kind, namespace, reference.name, reference.key, data);
}

/** backendOptions.kanto.decryption; what is optional and missing is left out. Rejects only if the API server cannot be asked. */
export async function resolveDecryption(
  spec: EdgeContainerSpec,
  namespace: string,
  references: References,
): Promise<ResolvedDecryption> {
  const options = spec.backendOptions?.kanto?.decryption;
  if (options === undefined) return { ok: true };
  const texts = async (refs: readonly SecretKeyRef[]): Promise<{ ok: true; texts: string[] } | Unresolved> => {
    const found: string[] = [];
    for (const { name, key, optional } of refs) {
      const data = await references.get("Secret", { namespace, name });
      const value = data?.get(key);
      if (value instanceof NotText) return notText(namespace, name, key);
      if (value !== undefined) found.push(value);
      else if (optional !== true)
        return data === undefined
          ? missing("Secret", namespace, name)
          : missingKey("Secret", namespace, name, key, data);
    }
    return { ok: true, texts: found };
  };
  const keys = await texts(options.keys ?? []);
  if (!keys.ok) return keys;
  const recipients = await texts(options.recipients ?? []);
  if (!recipients.ok) return recipients;
  return { ok: true, decryption: { keys: keys.texts, recipients: recipients.texts } };
}

/** The value is no text. */
export function notText(namespace: string, name: string, key: string): Unresolved {
  return {
    ok: false,
    problem: {
      reason: "SecretMalformed",
      message: `Secret ${namespace}/${name}: key "${key}" is not UTF-8 text; encode it, e.g. as base64 once more`,
    },
  };
}

/** There is no such object. */
export function missing(kind: ValueKind, namespace: string, name: string): Unresolved {
  const reason = kind === "Secret" ? "SecretNotFound" : "ConfigMapNotFound";
  return { ok: false, problem: { reason, message: `${kind} ${namespace}/${name} does not exist` } };
}

/** The object lacks the key. */
export function missingKey(kind: ValueKind, namespace: string, name: string, key: string, data: ValueData): Unresolved {
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

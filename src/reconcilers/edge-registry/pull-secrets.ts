/**
 * imagePullSecrets where the vendor keeps logins per project: for each Secret, host and backend that EdgeContainers of a namespace need, Drayage
 * makes an EdgeRegistry of its own, and deletes it when none needs it any more. So such a login has the conditions, the rotation and the removal
 * of every other, and one that people have set in the project is no more taken over by it than by any other.
 */
import { createHash } from "node:crypto";
import type { EdgeContainerSpec } from "../../crds/edge-container.ts";
import type { EdgeRegistry } from "../../crds/edge-registry.ts";
import { PULL_SECRET_LABEL } from "../../crds/group.ts";
import { isAlreadyExists } from "../../kube/errors.ts";
import { keyOf, keyString } from "../../kube/resource.ts";
import type { ObjectKey } from "../../kube/types.ts";
import { backendKeyOf } from "../allowed-namespaces.ts";
import { canonicalHost } from "../edge-container/registry-auth.ts";
import type { Environment } from "../environment.ts";
import { BY_REFERENCE, referenceKey } from "../stores.ts";

/** What an EdgeRegistry is made for. */
export interface PullLogin {
  namespace: string;
  secret: string;
  host: string;
  backend: ObjectKey;
}

/** Its name: the same for all who need the same. Pure. */
export function pullRegistryName({ secret, host, backend }: PullLogin): string {
  const what = JSON.stringify([secret, host, backend.namespace, backend.name]);
  return `pull-${createHash("sha256").update(what).digest("hex").slice(0, 16)}`;
}

/** The host of an image, as EdgeRegistries spell it. Pure. */
export function hostOfImage(image: string): string {
  return canonicalHost(image.split("/")[0] ?? "");
}

/** Whether it was made for imagePullSecrets. */
export function isPullRegistry({ metadata }: EdgeRegistry): boolean {
  return metadata.labels?.[PULL_SECRET_LABEL] === "true";
}

/** Makes it. One that is there already is fine. Throws ApiError or TransportError. */
export async function makePullRegistry(
  login: PullLogin,
  env: Pick<Environment, "client" | "resources">,
): Promise<void> {
  const { namespace, secret, host, backend } = login;
  try {
    await env.client.create(env.resources.registries, {
      metadata: { namespace, name: pullRegistryName(login), labels: { [PULL_SECRET_LABEL]: "true" } },
      spec: {
        host,
        credentialsSecretRef: { name: secret },
        backendRefs: [backend.namespace === namespace ? { name: backend.name } : { ...backend }],
      },
    });
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
  }
}

/** Whether an EdgeContainer still needs it; a container that is being deleted may pull once more until it is gone. */
export function isNeeded(object: EdgeRegistry, stores: Environment["stores"]): boolean {
  const namespace = object.metadata.namespace ?? "";
  const secret = object.spec.credentialsSecretRef.name;
  return stores.containers
    .byIndex(BY_REFERENCE, referenceKey("Secret", namespace, secret))
    .filter(({ spec }) => pulls(spec, secret, object.spec.host))
    .some(({ spec }) => {
      const device = stores.devices.get({ namespace, name: spec.deviceRef.name });
      // Its device may come back: what is not known is no reason to remove anything.
      if (device === undefined) return true;
      const backend = keyString(backendKeyOf(device));
      return object.spec.backendRefs.some((ref) => keyString({ namespace, ...ref }) === backend);
    });
}

function pulls(spec: EdgeContainerSpec, secret: string, host: string): boolean {
  return (
    (spec.imagePullSecrets ?? []).some(({ name }) => name === secret) &&
    hostOfImage(spec.image ?? "") === host &&
    spec.managementPolicy !== "Observe"
  );
}

/** Deletes it if nobody needs it. @returns whether it did. Throws ApiError or TransportError. */
export async function deleteUnneeded(
  object: EdgeRegistry,
  env: Pick<Environment, "client" | "resources" | "stores" | "options">,
): Promise<boolean> {
  if (env.options.readOnly || !isPullRegistry(object) || isNeeded(object, env.stores)) return false;
  await env.client.delete(env.resources.registries, keyOf(object), { uid: object.metadata.uid });
  return true;
}

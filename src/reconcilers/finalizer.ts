/** Our finalizer, on and off. Every write names the version it was decided on, so no foreign change is lost. */
import { FINALIZER } from "../crds/group.ts";
import { isNotFound } from "../kube/errors.ts";
import { keyOf, resourceName, type Resource } from "../kube/resource.ts";
import type { KubeObject } from "../kube/types.ts";
import type { Environment } from "./environment.ts";

export function hasFinalizer(object: KubeObject): boolean {
  return object.metadata.finalizers?.includes(FINALIZER) ?? false;
}

/** Puts it on; returns the object as it is then. Throws ApiError (isConflict: look again) or TransportError. */
export async function addFinalizer<T extends KubeObject>(
  env: Pick<Environment, "client" | "expectations">,
  resource: Resource<T>,
  object: T,
): Promise<T> {
  if (hasFinalizer(object)) return object;
  return write(env, resource, object, [...(object.metadata.finalizers ?? []), FINALIZER]);
}

/** Takes it off. An object that is gone already is fine. */
export async function removeFinalizer<T extends KubeObject>(
  env: Pick<Environment, "client" | "expectations">,
  resource: Resource<T>,
  object: T,
): Promise<void> {
  if (!hasFinalizer(object)) return;
  try {
    await write(
      env,
      resource,
      object,
      (object.metadata.finalizers ?? []).filter((name) => name !== FINALIZER),
    );
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

async function write<T extends KubeObject>(
  env: Pick<Environment, "client" | "expectations">,
  resource: Resource<T>,
  object: T,
  finalizers: string[],
): Promise<T> {
  const { uid, resourceVersion } = object.metadata;
  const written = await env.client.patch(resource, keyOf(object), {
    type: "merge",
    body: { metadata: { uid, resourceVersion, finalizers } },
  });
  env.expectations.wrote(resourceName(resource), keyOf(object), written.metadata.resourceVersion);
  return written;
}

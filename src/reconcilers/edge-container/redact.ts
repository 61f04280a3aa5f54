/**
 * What a vendor says of a container may repeat what it was sent. The backend takes that out while it has it; after a restart of the operator, or
 * for a container that another process made, only the object's own references tell what must not be shown.
 */
import type { DesiredContainer, ObservedContainer } from "../../backends/contract.ts";
import { redact } from "../../backends/http/text.ts";

/** The values that come from Secrets: of the environment those that `fromSecret` names. */
export function secretValues(desired: DesiredContainer, fromSecret: ReadonlySet<string>): string[] {
  const { env, startupScript, registryAuth, decryption } = desired;
  return [
    ...env.filter(({ name }) => fromSecret.has(name)).map(({ value }) => value),
    ...(startupScript === undefined ? [] : [startupScript]),
    ...(registryAuth === undefined ? [] : [registryAuth.password]),
    // "path:password" or "path:pass=password".
    ...(decryption?.keys ?? []).map((key) => key.replace(/^[^:]*(:(pass=)?|$)/, "")),
  ];
}

/** The containers, with every secret taken out of what the vendor says of them. Containers without a text are handed on as they are. */
export function withoutSecrets(
  containers: readonly ObservedContainer[],
  secrets: readonly string[],
): readonly ObservedContainer[] {
  if (secrets.length === 0) return containers;
  return containers.map((container) => {
    const { error, waiting } = container;
    if (error === undefined && waiting === undefined) return container;
    return {
      ...container,
      ...(error !== undefined && { error: redact(error, secrets) }),
      ...(waiting !== undefined && { waiting: { ...waiting, message: redact(waiting.message, secrets) } }),
    };
  });
}

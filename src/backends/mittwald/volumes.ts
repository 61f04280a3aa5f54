/** Volumes of a stack. Pure. */
import { mountSource } from "./normalise.ts";
import type { Stack, Volume } from "./types.ts";

/**
 * Whether anything in the stack mounts a volume, now or once it is deployed. linkedServices is left out where it is empty, and the schema does
 * not demand it: what the services say counts too.
 */
export function isMounted({ services }: Pick<Stack, "services">, { name, linkedServices }: Volume): boolean {
  return (
    (linkedServices ?? []).length > 0 ||
    services.some(({ pendingState, deployedState }) =>
      [...(pendingState.volumes ?? []), ...(deployedState?.volumes ?? [])].some((mount) => mountSource(mount) === name),
    )
  );
}

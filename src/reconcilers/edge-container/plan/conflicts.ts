/** Reasons not to create or start yet: somebody else holds the name or a host port on the device. */
import type { HostPort, ObservedContainer } from "../../../backends/contract.ts";
import { isOurs, recordedOf } from "./ownership.ts";
import type { PlanInput } from "./types.ts";

/** A container of somebody else under the wanted name, where the backend says that this is a conflict. */
export function nameHolder(input: PlanInput): ObservedContainer | undefined {
  if (!input.planner.nameConflicts) return undefined;
  const recorded = recordedOf(input);
  return input.containers.find(
    (container) =>
      container.name === input.desired.name && container.state !== "Dead" && !isOurs(input.me, recorded, container),
  );
}

/** Says who holds the name and what to change. A marker that differs in nothing but the owner is this object's from another installation. */
export function describeNameHolder(input: PlanInput, holder: ObservedContainer): string {
  const { me } = input;
  const marker = holder.marker;
  if (marker !== undefined && marker.namespace === me.namespace && marker.name === me.name && marker.owner !== me.owner)
    return (
      `container ${holder.externalId} on the device is named "${holder.name}" and was made for ${me.namespace}/${me.name} by the ` +
      `installation "${marker.owner}"; if this cluster replaces that one, run the operator with --owner-id=${marker.owner}, ` +
      `else choose another spec.name or set spec.adoption.policy: ByName`
    );
  const whose =
    marker === undefined
      ? "was not made by Drayage"
      : marker.owner === me.owner
        ? `belongs to EdgeContainer ${marker.namespace}/${marker.name}`
        : `belongs to the installation "${marker.owner}"`;
  return `container ${holder.externalId} on the device is named "${holder.name}" and ${whose}; remove or rename it there, choose another spec.name, or set spec.adoption.policy`;
}

/** The first live container of somebody else that holds a wanted host port; undefined if none. */
export function portHolder(
  input: PlanInput,
  except?: string,
): { holder: ObservedContainer; message: string } | undefined {
  const recorded = recordedOf(input);
  const wanted = (input.desired.spec.ports ?? []).flatMap((port) =>
    port.hostPort === undefined
      ? []
      : [
          {
            hostIP: port.hostIP ?? "0.0.0.0",
            hostPort: port.hostPort,
            hostPortEnd: port.hostPortEnd ?? port.hostPort,
            protocol: (port.protocol ?? "TCP").toUpperCase(),
          },
        ],
  );
  for (const container of input.containers) {
    const live = container.state === "Running" || container.state === "Paused";
    if (!live || container.externalId === except || isOurs(input.me, recorded, container)) continue;
    for (const held of container.hostPorts) {
      const clash = wanted.find((port) => overlaps(port, held));
      if (clash !== undefined)
        return {
          holder: container,
          message: `host port ${held.hostPort}/${held.protocol.toLowerCase()} on the device is held by container "${container.name}" (${container.externalId}); stop it or choose another hostPort`,
        };
    }
  }
  return undefined;
}

/** A range only needs one free port in it, so only a single wanted port can be known to clash with what is held. */
function overlaps(wanted: HostPort, held: HostPort): boolean {
  const anyAddress = (ip: string) => ip === "0.0.0.0" || ip === "" || ip === "::";
  const addresses = wanted.hostIP === held.hostIP || anyAddress(wanted.hostIP) || anyAddress(held.hostIP);
  const single = wanted.hostPort === wanted.hostPortEnd && held.hostPort === held.hostPortEnd;
  return (
    addresses &&
    single &&
    wanted.hostPort === held.hostPort &&
    wanted.protocol.toUpperCase() === held.protocol.toUpperCase()
  );
}

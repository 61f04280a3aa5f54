/** What a container takes from its device: ports, mounts, network, privileges, device files. */
import { isIPv4 } from "node:net";
import type { DesiredContainer, FieldProblem } from "../../contract.ts";
import { invalid, refuse } from "./problems.ts";

type Spec = DesiredContainer["spec"];

/** Addresses in extraHosts that the daemon replaces (network/libnet_mgr_internal_common_ctrs.go); in mode Host it refuses or skips them. */
const RESERVED_ADDRESS = /^(host_ip(_.+)?|container_.+)$/;

/** Problems of ports. */
export function portProblems(spec: Spec): FieldProblem[] {
  return (spec.ports ?? []).flatMap((port, index) => {
    const path = `ports[${index}]`;
    const problems: FieldProblem[] = [];
    if (port.protocol === "HTTPS") {
      problems.push(
        refuse(`${path}.protocol`, "Kanto ends no TLS for containers: use TCP and end it in the container"),
      );
    }
    for (const key of ["containerPort", "hostPort", "hostPortEnd"] as const) {
      const value = port[key];
      if (value !== undefined && (!Number.isInteger(value) || value < 1 || value > 65_535)) {
        problems.push(invalid(`${path}.${key}`, `${path}.${key} must be between 1 and 65535`, "PortOutOfRange"));
      }
    }
    if (port.hostPort !== undefined && port.hostPortEnd !== undefined && port.hostPortEnd < port.hostPort) {
      problems.push(invalid(`${path}.hostPortEnd`, `${path}.hostPortEnd must not be below hostPort`, "PortOutOfRange"));
    }
    if (port.hostPort !== undefined && spec.network?.mode === "Host") {
      problems.push(invalid(`${path}.hostPort`, "network.mode Host publishes every port by itself: remove hostPort"));
    }
    if (port.hostIP !== undefined && !isIPv4(port.hostIP)) {
      problems.push(
        refuse(`${path}.hostIP`, "Kanto publishes ports on IPv4 only: leave hostIP out or write an IPv4 address"),
      );
    }
    return problems;
  });
}

/** Problems of volumes. */
export function volumeProblems(spec: Spec): FieldProblem[] {
  return (spec.volumes ?? []).flatMap((volume, index) => {
    const path = `volumes[${index}]`;
    const problems: FieldProblem[] = [];
    if (volume.volumeName !== undefined) {
      problems.push(refuse(`${path}.volumeName`, "Kanto has no named volumes: use hostPath"));
    } else if (volume.hostPath === undefined || volume.hostPath === "") {
      problems.push(invalid(`${path}.hostPath`, `${path}.hostPath must be set`));
    }
    if (volume.mountPath === "") problems.push(invalid(`${path}.mountPath`, `${path}.mountPath must be set`));
    if (volume.readOnly === true) {
      problems.push(refuse(`${path}.readOnly`, "Kanto has no read-only mounts: leave readOnly out"));
    }
    return problems;
  });
}

/** Problems of network. */
export function networkProblems(spec: Spec): FieldProblem[] {
  const { extraHosts, mode, hostname } = spec.network ?? {};
  const problems = (extraHosts ?? []).flatMap((entry, index) =>
    hostProblem(`network.extraHosts[${index}]`, entry, mode),
  );
  if (mode === "Host" && hostname !== undefined) {
    problems.push(
      invalid(
        "network.hostname",
        "in network.mode Host the container has the device's own host name: leave hostname out",
      ),
    );
  }
  return problems;
}

/** The daemon checks these only at the start, and then skips what it cannot resolve without a word. */
function hostProblem(path: string, entry: string, mode: NonNullable<Spec["network"]>["mode"]): FieldProblem[] {
  const [name, address, ...more] = entry.split(":");
  if (!name || !address || more.length > 0) {
    return [invalid(path, `${path} must be name:address with one colon (Kanto takes no IPv6 address there)`)];
  }
  if (RESERVED_ADDRESS.test(address)) {
    return mode === "Host"
      ? [invalid(path, `${path}: ${address} works in network.mode Bridge only; in mode Host the device is 127.0.0.1`)]
      : [];
  }
  if (isIPv4(address)) return [];
  return [
    invalid(
      path,
      `${path}: the address must be an IPv4 address, host_ip, host_ip_<interface> or container_<host name>, e.g. ${name}:host_ip`,
    ),
  ];
}

/** Problems of privileges together with device files. Extra capabilities are no matter there: a privileged container has them all. */
export function privilegeProblems(spec: Spec): FieldProblem[] {
  const paths = (spec.devices ?? []).flatMap((device, index) =>
    device.hostPath === "" || device.containerPath === ""
      ? [invalid(`devices[${index}]`, `devices[${index}]: both paths must be set`)]
      : [],
  );
  if (spec.securityContext?.privileged !== true || (spec.devices?.length ?? 0) === 0) return paths;
  return [
    ...paths,
    invalid("devices", "a privileged container already has every device: remove devices, or set privileged to false"),
  ];
}

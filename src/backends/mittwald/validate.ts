/** What mittwald cannot do as asked, said before anything is sent, with the field and what to write instead. Pure and total. */
import { parseQuantity } from "../../crds/quantity.ts";
import type { DesiredContainer, FieldProblem } from "../contract.ts";

type Spec = DesiredContainer["spec"];

/** A DNS label: the vendor takes it for the host name of the service; its own limit is 63 characters. */
const SERVICE_NAME = /^[a-z0-9][a-z0-9-]{1,62}$/;
/** As the vendor's own interface has it. */
const VOLUME_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;
const VARIABLE = /^[a-zA-Z_][a-zA-Z0-9_.]*$/;

function invalid(path: string, message: string, reason = "InvalidSpec"): FieldProblem {
  return { path, kind: "Invalid", reason, message };
}

function refuse(path: string, message: string): FieldProblem {
  return { path, kind: "Unsupported", reason: "UnsupportedField", message };
}

export function validate(desired: DesiredContainer): FieldProblem[] {
  const { spec } = desired;
  return [
    ...refused(spec),
    ...ignored(spec),
    ...nameProblems(desired),
    ...portProblems(spec),
    ...volumeProblems(spec),
    ...limitProblems(spec),
    ...valueProblems(desired),
  ];
}

function refused(spec: Spec): FieldProblem[] {
  const { network, securityContext, resources, restartPolicy, updateStrategy } = spec;
  const options = spec.backendOptions ?? {};
  const checks: readonly [boolean, string, string][] = [
    [spec.desiredState === "Paused", "desiredState", "mittwald cannot pause a container: use Running or Stopped"],
    [
      spec.imagePullPolicy === "Never",
      "imagePullPolicy",
      "mittwald pulls an image when it has none: use IfNotPresent or Always, or leave it out",
    ],
    [
      resources?.reservations !== undefined,
      "resources.reservations",
      "mittwald reserves nothing: leave reservations out",
    ],
    [resources?.memorySwap !== undefined, "resources.memorySwap", "mittwald limits no swap: leave memorySwap out"],
    [
      (restartPolicy?.maxRetries ?? 0) > 0,
      "restartPolicy.maxRetries",
      "mittwald ignores a number of retries: leave maxRetries out",
    ],
    [
      restartPolicy?.retryTimeoutSeconds !== undefined,
      "restartPolicy.retryTimeoutSeconds",
      "mittwald chooses its pauses itself: leave retryTimeoutSeconds out",
    ],
    [
      updateStrategy?.type === "InPlaceOnly",
      "updateStrategy.type",
      "mittwald makes a new container for each change: use Recreate or OnDelete",
    ],
    [
      network?.mode === "Host",
      "network.mode",
      "a mittwald container has its own network: use Bridge, or leave mode out",
    ],
    [
      network?.hostname !== undefined || network?.domainname !== undefined,
      "network.hostname",
      "the name of a mittwald service is its host name: leave hostname and domainname out",
    ],
    [
      (network?.extraHosts?.length ?? 0) > 0,
      "network.extraHosts",
      "mittwald takes no further host names: leave extraHosts out",
    ],
    [
      securityContext?.privileged === true,
      "securityContext.privileged",
      "mittwald has no privileged containers: leave it out",
    ],
    [
      (securityContext?.capabilities?.add?.length ?? 0) > 0,
      "securityContext.capabilities",
      "mittwald gives no capabilities: leave them out",
    ],
    [(spec.devices?.length ?? 0) > 0, "devices", "mittwald has no device files: leave devices out"],
    [spec.startupScript !== undefined, "startupScript", "mittwald has no startup script: use command and args"],
    [(spec.sshPublicKeys?.length ?? 0) > 0, "sshPublicKeys", "use mittwald's own SSH access: leave sshPublicKeys out"],
    [
      (options.mittwald?.ingresses?.length ?? 0) > 0,
      "backendOptions.mittwald.ingresses",
      "this version manages no ingresses: leave them out, and point one of your own at the service id in status.external.id",
    ],
    ...(["kanto", "hiveon"] as const).map((vendor): [boolean, string, string] => [
      options[vendor] !== undefined,
      `backendOptions.${vendor}`,
      `this device is a mittwald stack: leave backendOptions.${vendor} out`,
    ]),
  ];
  return checks.flatMap(([asked, path, message]) => (asked ? [refuse(path, message)] : []));
}

function ignored(spec: Spec): FieldProblem[] {
  return (["logging", "tty", "stdin", "stop"] as const)
    .filter((path) => spec[path] !== undefined)
    .map((path) => ({ path, kind: "Ignored", reason: "UnsupportedField", message: `mittwald knows no ${path}` }));
}

function nameProblems({ name, image }: DesiredContainer): FieldProblem[] {
  const problems: FieldProblem[] = [];
  if (image === "") problems.push(invalid("image", "image must be set", "InvalidImageName"));
  if (name.length > 63)
    problems.push(
      invalid("name", `a service's name has at most 63 characters, this one ${name.length}: set a shorter spec.name`),
    );
  else if (!SERVICE_NAME.test(name))
    problems.push(
      invalid(
        "name",
        "write 2 to 63 lower-case letters, digits and -, beginning with a letter or digit: it is the service's host name",
      ),
    );
  return problems;
}

function portProblems(spec: Spec): FieldProblem[] {
  const ports = spec.ports ?? [];
  return ports.flatMap((port, index) => {
    const path = `ports[${index}]`;
    const found: FieldProblem[] = [];
    const { hostPort, containerPort, protocol = "TCP" } = port;
    if (hostPort !== undefined && hostPort !== containerPort)
      found.push(
        invalid(
          `${path}.hostPort`,
          `mittwald maps no port to another one: write ${containerPort} instead of ${hostPort}, or leave hostPort out`,
        ),
      );
    if (port.hostPortEnd !== undefined)
      found.push(refuse(`${path}.hostPortEnd`, "mittwald chooses from no range: name one port"));
    if (port.hostIP !== undefined)
      found.push(refuse(`${path}.hostIP`, "a mittwald service has its own address: leave hostIP out"));
    if (protocol === "HTTPS")
      found.push(refuse(`${path}.protocol`, "use TCP, and an ingress of your own for HTTPS from outside"));
    const other = ports.findIndex(
      (each) => each.containerPort === containerPort && (each.protocol ?? "TCP") === protocol,
    );
    if (other < index)
      found.push(invalid(`${path}.containerPort`, `ports[${other}] has ${containerPort} already: name it once`));
    return found;
  });
}

function volumeProblems(spec: Spec): FieldProblem[] {
  return (spec.volumes ?? []).flatMap((volume, index) => {
    const path = `volumes[${index}]`;
    const found: FieldProblem[] = [];
    const { volumeName, hostPath, mountPath } = volume;
    if (volumeName !== undefined && !VOLUME_NAME.test(volumeName))
      found.push(
        invalid(`${path}.volumeName`, "write at least two letters, digits, _, . and -, the first a letter or digit"),
      );
    if (hostPath !== undefined && !hostPath.startsWith("/home/"))
      found.push(invalid(`${path}.hostPath`, "only the project's own files can be mounted: write /home/p-…/…"));
    for (const [key, value] of [
      ["hostPath", hostPath],
      ["mountPath", mountPath],
    ] as const)
      if (value?.includes(":") === true || value?.includes("\0") === true)
        found.push(
          invalid(`${path}.${key}`, "the vendor's form of a mount leaves no room for a colon: choose another path"),
        );
    if (volume.readOnly === true)
      found.push(refuse(`${path}.readOnly`, "mittwald cannot mount read-only: leave readOnly out"));
    if (volume.propagation !== undefined)
      found.push(refuse(`${path}.propagation`, "mittwald takes no propagation: leave it out"));
    return found;
  });
}

function limitProblems(spec: Spec): FieldProblem[] {
  const { memory } = spec.resources?.limits ?? {};
  if (memory === undefined) return [];
  return Number.isInteger(parseQuantity(memory))
    ? []
    : [invalid("resources.limits.memory", "mittwald counts whole bytes: write e.g. 64Mi")];
}

function valueProblems({ env, spec }: DesiredContainer): FieldProblem[] {
  const problems: FieldProblem[] = [];
  for (const { name, value } of env) {
    if (!VARIABLE.test(name))
      problems.push(
        invalid("env", `${name}: names of variables are letters, digits, _ and ., and do not begin with a digit`),
      );
    // The value may be secret: it is not shown.
    if (value.includes("\0"))
      problems.push(invalid("env", `the value of ${name} has a NUL character, which no process can be given`));
  }
  for (const path of ["command", "args"] as const)
    if (spec[path]?.some((word) => word.includes("\0")) === true)
      problems.push(invalid(path, "a NUL character can be given to no process"));
  return problems;
}

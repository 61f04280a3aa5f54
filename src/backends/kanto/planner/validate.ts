/**
 * Everything about a spec that a Kanto device cannot do as asked, found before anything is sent. Rules: container-management,
 * containerm/util/containers_validation.go; fields that it has no place for: containerm/things/datatypes_container_configuration.go.
 */
import { parseQuantity, type Quantity } from "../../../crds/quantity.ts";
import type { DesiredContainer, FieldProblem } from "../../contract.ts";
import { defaultHostName } from "../config.ts";
import { MARKER_VARIABLE } from "../marker.ts";
import { quantityBytes, sizeProblem } from "./sizes.ts";

type Spec = DesiredContainer["spec"];

/** A container's name, as the daemon takes it. */
export const NAME = /^[a-zA-Z0-9_][a-zA-Z0-9_.-]*$/;
const VARIABLE = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
/** Longest host name the kernel takes (HOST_NAME_MAX). */
const LONGEST_HOST_NAME = 64;
const SMALLEST_MEMORY = 3 * 2 ** 20;
/** Names that golang.org/x/sys/unix knows on Linux (zerrors_linux_amd64.go); the daemon asks it, and takes numbers too. */
const SIGNALS = new Set(
  `ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS TERM TRAP TSTP TTIN TTOU URG USR1
   USR2 VTALRM WINCH XCPU XFSZ`
    .split(/\s+/)
    .map((name) => `SIG${name}`),
);
/** Reserved addresses in extraHosts that stand for the device itself. */
const HOST_ADDRESS = /^host_ip(_.*)?$/;

/** All problems; total, also on specs that no schema has seen. */
export function validate(desired: DesiredContainer): FieldProblem[] {
  const { spec } = desired;
  return [
    ...unsupported(spec),
    ...ignored(spec),
    ...nameProblems(desired),
    ...imageProblems(desired),
    ...envProblems(desired),
    ...portProblems(spec),
    ...volumeProblems(spec),
    ...resourceProblems(spec),
    ...restartProblems(spec),
    ...networkProblems(spec),
    ...privilegeProblems(spec),
    ...loggingProblems(spec),
    ...stopProblems(spec),
  ];
}

function invalid(path: string, message: string, reason = "InvalidSpec"): FieldProblem {
  return { path, kind: "Invalid", reason, message };
}

function refuse(path: string, message: string): FieldProblem {
  return { path, kind: "Unsupported", reason: "UnsupportedField", message };
}

function unsupported(spec: Spec): FieldProblem[] {
  const problems: FieldProblem[] = [];
  const check = (asked: boolean, path: string, message: string): void => {
    if (asked) problems.push(refuse(path, message));
  };
  const { imagePullPolicy: pull } = spec;
  check(
    pull !== undefined && pull !== "IfNotPresent",
    "imagePullPolicy",
    `Kanto pulls an image only if the device does not have it: ${pull} cannot be asked for; leave imagePullPolicy out and name a digest or a tag that never moves`,
  );
  check(
    (spec.command?.length ?? 0) > 0,
    "command",
    "Kanto cannot replace an image's ENTRYPOINT: leave command out and use args, or build an image without ENTRYPOINT",
  );
  check(
    spec.resources?.limits?.cpu !== undefined,
    "resources.limits.cpu",
    "Kanto knows no CPU limits: leave resources.limits.cpu out",
  );
  check(
    spec.startupScript !== undefined,
    "startupScript",
    "Kanto runs no startup scripts: put the script into the image, or into args",
  );
  check((spec.sshPublicKeys?.length ?? 0) > 0, "sshPublicKeys", "Kanto gives no SSH access: leave sshPublicKeys out");
  for (const path of ["registryRefs", "imagePullSecrets"] as const) {
    check(
      (spec[path]?.length ?? 0) > 0,
      path,
      `Kanto takes registry credentials only from the daemon's own configuration on the device: leave ${path} out`,
    );
  }
  const options = spec.backendOptions ?? {};
  check(
    options.kanto?.decryption !== undefined,
    "backendOptions.kanto.decryption",
    "encrypted images are not supported yet: leave backendOptions.kanto.decryption out",
  );
  for (const other of ["hiveon", "mittwald"] as const) {
    check(
      options[other] !== undefined,
      `backendOptions.${other}`,
      `this device is on Kanto: leave backendOptions.${other} out`,
    );
  }
  return problems;
}

/** Cosmetic, and without a place on a Kanto device: only listed. */
function ignored(spec: Spec): FieldProblem[] {
  const named = (spec.ports ?? []).some((port) => port.hostPort === undefined);
  if (!named) return [];
  return [
    {
      path: "ports",
      kind: "Ignored",
      reason: "UnsupportedField",
      message: "ports without hostPort are not published: they only document the container",
    },
  ];
}

function nameProblems({ name, spec }: DesiredContainer): FieldProblem[] {
  const problems: FieldProblem[] = [];
  if (!NAME.test(name)) {
    problems.push(invalid("name", `name ${name} must begin with a letter, digit or _ and go on with these, . or -`));
  }
  const tooLong = defaultHostName(name).length > LONGEST_HOST_NAME;
  if (tooLong && spec.network?.hostname === undefined && spec.network?.mode !== "Host") {
    problems.push(
      invalid(
        "name",
        `Kanto makes the host name ${defaultHostName(name)} of the name, and a host name has at most ${LONGEST_HOST_NAME} characters: shorten name, or set network.hostname`,
      ),
    );
  }
  return problems;
}

function imageProblems({ image }: DesiredContainer): FieldProblem[] {
  const [host, ...path] = image.split("/");
  const qualified = path.length > 0 && host !== undefined && (host === "localhost" || /[.:]/.test(host));
  if (qualified && !/\s/.test(image)) return [];
  const fix =
    /\s/.test(image) || image === ""
      ? "docker.io/library/nginx:1.27"
      : `docker.io/${path.length === 0 ? "library/" : ""}${image}`;
  return [
    invalid("image", `Kanto knows no default registry: write the image in full, e.g. ${fix}`, "InvalidImageName"),
  ];
}

function envProblems({ env }: DesiredContainer): FieldProblem[] {
  return env.flatMap(({ name, value }) => {
    if (name === MARKER_VARIABLE) {
      return [
        invalid("env", `${name} is Drayage's own mark on the container: rename the variable, or give envFrom a prefix`),
      ];
    }
    if (!VARIABLE.test(name)) {
      return [
        invalid(
          "env",
          `Kanto takes variable names of letters, digits and _ only, not ${JSON.stringify(name)}: rename it`,
        ),
      ];
    }
    // The value may be secret: it is not shown.
    if (/[\n\r]/.test(value)) {
      return [
        invalid(
          "env",
          `the value of ${name} has a line break, which Kanto refuses: encode it, e.g. as base64, or mount a file`,
        ),
      ];
    }
    if (value.includes("\0"))
      return [invalid("env", `the value of ${name} has a NUL character, which no process can be given`)];
    return [];
  });
}

function portProblems(spec: Spec): FieldProblem[] {
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
    if (port.hostIP?.includes(":") === true) {
      problems.push(
        refuse(`${path}.hostIP`, "Kanto publishes ports on IPv4 only: leave hostIP out or write an IPv4 address"),
      );
    }
    return problems;
  });
}

function volumeProblems(spec: Spec): FieldProblem[] {
  return (spec.volumes ?? []).flatMap((volume, index) => {
    const path = `volumes[${index}]`;
    const problems: FieldProblem[] = [];
    if (volume.volumeName !== undefined) {
      problems.push(refuse(`${path}.volumeName`, "Kanto has no named volumes: use hostPath"));
    } else if (volume.hostPath === undefined || volume.hostPath === "") {
      problems.push(invalid(`${path}.hostPath`, `${path}.hostPath must be set`));
    }
    if (volume.readOnly === true) {
      problems.push(refuse(`${path}.readOnly`, "Kanto has no read-only mounts: leave readOnly out"));
    }
    return problems;
  });
}

function resourceProblems(spec: Spec): FieldProblem[] {
  const { limits, reservations, memorySwap } = spec.resources ?? {};
  const sizes: [string, Quantity | undefined][] = [
    ["resources.limits.memory", limits?.memory],
    ["resources.reservations.memory", reservations?.memory],
    ["resources.memorySwap", memorySwap === "Unlimited" ? undefined : memorySwap],
  ];
  const problems = sizes.flatMap(([path, value]) => {
    const problem = value === undefined ? undefined : sizeProblem(path, value);
    return problem === undefined ? [] : [invalid(path, problem)];
  });
  if (problems.length > 0) return problems;
  const memory = limits?.memory === undefined ? undefined : parseQuantity(limits.memory);
  if (memory !== undefined && memory < SMALLEST_MEMORY) {
    problems.push(
      invalid("resources.limits.memory", "Kanto gives a container at least 3Mi of memory: write 3Mi or more"),
    );
  }
  const reserved = reservations?.memory === undefined ? undefined : parseQuantity(reservations.memory);
  if (reserved !== undefined && reserved < SMALLEST_MEMORY) {
    problems.push(invalid("resources.reservations.memory", "Kanto reserves at least 3Mi: write 3Mi or more"));
  }
  if (reserved !== undefined && memory !== undefined && reserved > memory) {
    problems.push(
      invalid("resources.reservations.memory", "resources.reservations.memory must not be above limits.memory"),
    );
  }
  if (memorySwap === undefined) return problems;
  if (memory === undefined) {
    problems.push(invalid("resources.memorySwap", "memorySwap counts memory and swap together: set limits.memory too"));
  } else if (memorySwap !== "Unlimited" && parseQuantity(memorySwap) < memory) {
    problems.push(
      invalid("resources.memorySwap", "memorySwap counts memory and swap together: it must not be below limits.memory"),
    );
  }
  return problems;
}

function restartProblems(spec: Spec): FieldProblem[] {
  const { type, maxRetries } = spec.restartPolicy ?? {};
  if (maxRetries === undefined || maxRetries === 0 || type === "OnFailure") return [];
  return [
    invalid("restartPolicy.maxRetries", "maxRetries counts only with type OnFailure: leave it out or change the type"),
  ];
}

function networkProblems(spec: Spec): FieldProblem[] {
  const { extraHosts, mode } = spec.network ?? {};
  return (extraHosts ?? []).flatMap((entry, index) => {
    const path = `network.extraHosts[${index}]`;
    const [name, address, ...more] = entry.split(":");
    if (!name || !address || more.length > 0) {
      return [invalid(path, `${path} must be name:address with one colon (Kanto takes no IPv6 address there)`)];
    }
    if (mode === "Host" && HOST_ADDRESS.test(address)) {
      return [
        invalid(path, `${path}: ${address} works in network.mode Bridge only; in mode Host the device is localhost`),
      ];
    }
    return [];
  });
}

function privilegeProblems(spec: Spec): FieldProblem[] {
  if (spec.securityContext?.privileged !== true || (spec.devices?.length ?? 0) === 0) return [];
  return [
    invalid("devices", "a privileged container already has every device: remove devices, or set privileged to false"),
  ];
}

function stopProblems(spec: Spec): FieldProblem[] {
  const { signal } = spec.stop ?? {};
  if (signal === undefined || isSignal(signal)) return [];
  return [
    invalid(
      "stop.signal",
      `Kanto does not know the signal ${signal}: write a name such as SIGTERM or SIGINT, or a number`,
    ),
  ];
}

/** Whether the daemon knows a signal of this name (`SIGTERM`) or number (`"15"`). */
export function isSignal(signal: string): boolean {
  return SIGNALS.has(signal) || /^[1-9][0-9]?$/.test(signal);
}

function loggingProblems(spec: Spec): FieldProblem[] {
  const { maxSize, maxBufferSize, mode } = spec.logging ?? {};
  const problems: FieldProblem[] = [];
  for (const [path, value] of [
    ["logging.maxSize", maxSize],
    ["logging.maxBufferSize", maxBufferSize],
  ] as const) {
    const problem = value === undefined || quantityBytes(value) === 0 ? undefined : sizeProblem(path, value);
    if (problem !== undefined) problems.push(invalid(path, problem));
  }
  if (maxBufferSize !== undefined && mode !== "NonBlocking") {
    problems.push(
      invalid(
        "logging.maxBufferSize",
        "maxBufferSize counts only with mode NonBlocking: set mode too, or leave it out",
      ),
    );
  }
  return problems;
}

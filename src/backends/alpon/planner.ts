/** The pure half of the ALPON backend. Everything but the name can be changed in place; stopping is removing, starting is deploying. */
import type {
  Capability,
  CommandAction,
  DesiredContainer,
  Difference,
  FieldProblem,
  ObservedContainer,
  Planner,
} from "../contract.ts";
import {
  canonical,
  CONFIG_FIELDS,
  MARKER_VARIABLE,
  ownName,
  wantedConfig,
  type AlponConfig,
  type ConfigField,
} from "./wire.ts";

type Spec = DesiredContainer["spec"];

/** The page's own numbers. */
const FIRST_PORT = 30_000;
const LAST_PORT = 32_767;

const native = (path: string, note?: string): Capability => ({
  path,
  level: "Native",
  ...(note !== undefined && { note }),
});
const emulated = (path: string, note: string): Capability => ({ path, level: "Emulated", note });
const unsupported = (path: string, note: string): Capability => ({ path, level: "Unsupported", note });

const CAPABILITIES: readonly Capability[] = [
  native("image", "for linux/arm64"),
  native("name", "unset: the object's name and a hash of owner, namespace and name"),
  native("env", "readable at the vendor"),
  native("envFrom", "resolved by Drayage"),
  native("ports", `hostPort from ${FIRST_PORT} to ${LAST_PORT}; TCP`),
  native("volumes", "directories and files of the device; read and write"),
  native("network.mode", "Host without published ports"),
  native("securityContext.privileged"),
  native("desiredState=Running"),
  emulated("desiredState=Stopped", "removes the container, whose files are lost; Running again deploys it"),
  emulated("restartedAt", "removes and deploys the container, whose files are lost"),
  unsupported("desiredState=Paused", "ALPON cannot pause a container"),
  unsupported("ports.protocol=UDP", "no page says how"),
  unsupported("ports.hostPortEnd", "no ranges"),
  unsupported("ports.hostIP", "no addresses"),
  unsupported("volumes.volumeName", "no named volumes"),
  unsupported("volumes.readOnly", "no such setting"),
  unsupported("command", "the image's ENTRYPOINT cannot be replaced"),
  unsupported("args", "the image's CMD cannot be replaced"),
  unsupported("imagePullPolicy", "the device pulls as it does"),
  unsupported("imagePullSecrets", "use Sixfab's own registry for private images"),
  unsupported("registryRefs", "use Sixfab's own registry for private images"),
  unsupported("resources", "no limits"),
  unsupported("restartPolicy", "the device restarts what ends, always"),
  unsupported("securityContext.capabilities", "only privileged"),
  unsupported("devices", "only privileged"),
  unsupported("startupScript", "no such setting"),
  unsupported("sshPublicKeys", "no such setting"),
  unsupported("logging", "ignored"),
  unsupported("tty", "ignored"),
  unsupported("stdin", "ignored"),
  unsupported("stop", "no signal and no time; ignored"),
];

function invalid(path: string, message: string, reason = "InvalidSpec"): FieldProblem {
  return { path, kind: "Invalid", reason, message };
}

function refuse(path: string, message: string): FieldProblem {
  return { path, kind: "Unsupported", reason: "UnsupportedField", message };
}

function validate(desired: DesiredContainer): FieldProblem[] {
  return [
    ...refused(desired.spec),
    ...ignored(desired.spec),
    ...portProblems(desired.spec),
    ...volumeProblems(desired.spec),
    ...valueProblems(desired),
  ];
}

function refused(spec: Spec): FieldProblem[] {
  const { network, securityContext, resources, restartPolicy } = spec;
  const options = spec.backendOptions ?? {};
  const checks: readonly [boolean, string, string][] = [
    [spec.desiredState === "Paused", "desiredState", "ALPON cannot pause a container: use Running or Stopped"],
    [(spec.command?.length ?? 0) > 0, "command", "ALPON cannot replace an image's ENTRYPOINT: build it into the image"],
    [(spec.args?.length ?? 0) > 0, "args", "ALPON cannot replace an image's CMD: build it into the image"],
    [spec.imagePullPolicy !== undefined, "imagePullPolicy", "ALPON takes no pull policy: leave imagePullPolicy out"],
    [
      (spec.imagePullSecrets?.length ?? 0) > 0,
      "imagePullSecrets",
      "ALPON takes no registry credentials: use a public image or Sixfab's own registry",
    ],
    [
      (spec.registryRefs?.length ?? 0) > 0,
      "registryRefs",
      "ALPON takes no registry credentials: use a public image or Sixfab's own registry",
    ],
    [
      resources?.limits !== undefined || resources?.reservations !== undefined || resources?.memorySwap !== undefined,
      "resources",
      "ALPON has no limits: leave resources out",
    ],
    [
      restartPolicy !== undefined && restartPolicy.type !== "Always",
      "restartPolicy",
      "an ALPON restarts what ends, always: leave restartPolicy out, or write type: Always",
    ],
    [
      network?.hostname !== undefined || network?.domainname !== undefined || (network?.extraHosts?.length ?? 0) > 0,
      "network",
      "ALPON knows network.mode only: leave hostname, domainname and extraHosts out",
    ],
    [
      (securityContext?.capabilities?.add?.length ?? 0) > 0,
      "securityContext.capabilities",
      "ALPON knows privileged only: leave capabilities out",
    ],
    [
      (spec.devices?.length ?? 0) > 0,
      "devices",
      "ALPON passes no single device files: leave devices out, or use securityContext.privileged",
    ],
    [spec.startupScript !== undefined, "startupScript", "ALPON has no startup script: build it into the image"],
    [(spec.sshPublicKeys?.length ?? 0) > 0, "sshPublicKeys", "ALPON gives no access by SSH: leave sshPublicKeys out"],
    ...(["kanto", "hiveon", "mittwald"] as const).map((vendor): [boolean, string, string] => [
      options[vendor] !== undefined,
      `backendOptions.${vendor}`,
      `this device is an ALPON: leave backendOptions.${vendor} out`,
    ]),
  ];
  return checks.flatMap(([asked, path, message]) => (asked ? [refuse(path, message)] : []));
}

function ignored(spec: Spec): FieldProblem[] {
  const listed = (["logging", "tty", "stdin", "stop"] as const).filter((path) => spec[path] !== undefined);
  const problems: FieldProblem[] = listed.map((path) => ({
    path,
    kind: "Ignored",
    reason: "UnsupportedField",
    message: `ALPON knows no ${path}`,
  }));
  if ((spec.ports ?? []).some(({ hostPort }) => hostPort === undefined))
    problems.push({
      path: "ports",
      kind: "Ignored",
      reason: "UnsupportedField",
      message: "ports without hostPort are not published: they only document the container",
    });
  return problems;
}

function portProblems(spec: Spec): FieldProblem[] {
  const ports = spec.ports ?? [];
  const problems = ports.flatMap((port, index) => {
    const path = `ports[${index}]`;
    const found: FieldProblem[] = [];
    const { hostPort, protocol } = port;
    if (protocol === "UDP" || protocol === "HTTPS")
      found.push(refuse(`${path}.protocol`, "ALPON publishes TCP only: use it"));
    if (port.hostPortEnd !== undefined)
      found.push(refuse(`${path}.hostPortEnd`, "ALPON takes no port ranges: name one port"));
    if (port.hostIP !== undefined)
      found.push(refuse(`${path}.hostIP`, "ALPON takes no address for a port: leave hostIP out"));
    if (hostPort !== undefined && (hostPort < FIRST_PORT || hostPort > LAST_PORT))
      found.push(
        invalid(
          `${path}.hostPort`,
          `an ALPON publishes ports from ${FIRST_PORT} to ${LAST_PORT} only: choose one of them instead of ${hostPort}`,
          "PortOutOfRange",
        ),
      );
    const other = hostPort === undefined ? -1 : ports.findIndex((each) => each.hostPort === hostPort);
    if (other >= 0 && other < index)
      found.push(
        invalid(`${path}.hostPort`, `ports[${other}] has ${hostPort} already: give each its own`, "PortConflict"),
      );
    return found;
  });
  return spec.network?.mode === "Host" && ports.some(({ hostPort }) => hostPort !== undefined)
    ? [
        ...problems,
        refuse(
          "network.mode",
          "with the device's own network nothing is published: leave hostPort out of ports, or use mode: Bridge",
        ),
      ]
    : problems;
}

function volumeProblems(spec: Spec): FieldProblem[] {
  return (spec.volumes ?? []).flatMap((volume, index) => {
    const path = `volumes[${index}]`;
    return [
      ...(volume.volumeName === undefined
        ? []
        : [refuse(`${path}.volumeName`, "ALPON has no named volumes: use hostPath")]),
      ...(volume.readOnly === true
        ? [refuse(`${path}.readOnly`, "ALPON cannot mount read-only: leave readOnly out")]
        : []),
      ...(volume.propagation === undefined
        ? []
        : [refuse(`${path}.propagation`, "ALPON takes no propagation: leave it out")]),
    ];
  });
}

function valueProblems({ name, env, image, spec }: DesiredContainer): FieldProblem[] {
  const problems: FieldProblem[] = [];
  if (image === "") problems.push(invalid("image", "image must be set", "InvalidImageName"));
  if (!/^[a-z0-9]([-a-z0-9]{0,48}[a-z0-9])?$/.test(name))
    problems.push(
      invalid(
        "name",
        "write at most 50 lower-case letters, digits and -, beginning and ending with a letter or digit, or leave name out",
      ),
    );
  for (const { name: variable, value } of env) {
    if (variable === MARKER_VARIABLE)
      problems.push(invalid("env", `${MARKER_VARIABLE} is Drayage's own mark on the container: choose another name`));
    else if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(variable))
      problems.push(
        invalid("env", `${variable}: names of variables are letters, digits and _, and do not begin with a digit`),
      );
    // The value may be secret: it is not shown.
    if (value.includes("\0"))
      problems.push(invalid("env", `the value of ${variable} has a NUL character, which no process can be given`));
  }
  if (spec.name === undefined && spec.adoption?.policy === "ByName")
    problems.push(invalid("adoption.policy", "ByName needs the name on the device: set spec.name"));
  return problems;
}

/** Path of the spec for a field of the configuration. */
const PATHS: Readonly<Record<ConfigField, string>> = {
  image: "image",
  environments: "env",
  ports: "ports",
  volumes: "volumes",
  hostNetwork: "network.mode",
  privileged: "securityContext.privileged",
};

function paths({ env, spec }: DesiredContainer): string[] {
  return [
    "image",
    ...(env.length > 0 ? ["env"] : []),
    ...(spec.ports !== undefined ? ["ports"] : []),
    ...(spec.volumes !== undefined ? ["volumes"] : []),
    ...(spec.network?.mode !== undefined ? ["network.mode"] : []),
    ...(spec.securityContext?.privileged !== undefined ? ["securityContext.privileged"] : []),
  ];
}

/** What is known of an observed container; only this backend's session puts anything there. */
export function configOf(observed: ObservedContainer): AlponConfig {
  return observed.config as AlponConfig;
}

/** Fields that are the spec's business: set now, or set when it was last rolled out. */
function fieldsOf(desired: DesiredContainer, appliedPaths: readonly string[]): ConfigField[] {
  const meant = new Set([...paths(desired), ...appliedPaths]);
  return CONFIG_FIELDS.filter((field) => meant.has(PATHS[field]));
}

function differing(
  desired: DesiredContainer,
  observed: ObservedContainer,
  appliedPaths: readonly string[],
): ConfigField[] {
  const wanted = wantedConfig(desired);
  const known = configOf(observed);
  return fieldsOf(desired, appliedPaths).filter(
    (field) => known[field] !== undefined && canonical(wanted, field) !== canonical(known, field),
  );
}

function diff(desired: DesiredContainer, observed: ObservedContainer, appliedPaths: readonly string[]): Difference[] {
  const wanted = wantedConfig(desired);
  const known = configOf(observed);
  const changes = differing(desired, observed, appliedPaths).map((field): Difference => ({
    path: PATHS[field],
    // Values of variables may be secret.
    desired: field === "environments" ? "as in the spec" : canonical(wanted, field),
    observed: field === "environments" ? "other names or values" : canonical(known, field),
    effect: "Update",
  }));
  // The name cannot be changed (the vendor's update page).
  return observed.name === desired.name
    ? changes
    : [{ path: "name", desired: desired.name, observed: observed.name, effect: "Recreate" }, ...changes];
}

/** What an update sends: what differs, and what cannot be seen. */
function update(
  desired: DesiredContainer,
  observed: ObservedContainer,
  appliedPaths: readonly string[],
): CommandAction {
  const wanted = wantedConfig(desired);
  const known = configOf(observed);
  const changed = new Set(differing(desired, observed, appliedPaths));
  const fields = CONFIG_FIELDS.filter((field) => changed.has(field) || known[field] === undefined);
  const payload: AlponConfig = Object.fromEntries(fields.map((field) => [field, wanted[field]]));
  return { kind: "Update", externalId: observed.externalId, payload, paths: fields.map((field) => PATHS[field]) };
}

function remove(observed: ObservedContainer): CommandAction {
  return { kind: "Remove", externalId: observed.externalId };
}

export const alponPlanner: Planner = {
  type: "alpon",
  capabilities: CAPABILITIES,
  // Names differ, but the ports of the old one would be in the way of the new one.
  coexistence: false,
  restartsByItself: true,
  nameConflicts: true,
  exposesEnv: true,
  stopsByRemoval: true,
  claims: true,
  containerName: ownName,
  conceals: (observed) => CONFIG_FIELDS.some((field) => configOf(observed)[field] === undefined),
  validate,
  paths,
  diff,
  identity: (desired) => {
    const wanted = wantedConfig(desired);
    return Object.fromEntries(CONFIG_FIELDS.map((field) => [field, canonical(wanted, field)]));
  },
  update,
  stop: remove,
  remove,
  restarts: () => true,
};

/**
 * The pure half of the Hiveon backend. Little of a rental can be read back: that it is there, how it stands, and the metadata that we gave it.
 * So what needs another rental is known by the hash in it, which plan/rental.ts compares, and here only by the image.
 */
import type {
  Capability,
  CommandAction,
  DesiredContainer,
  Difference,
  FieldProblem,
  ObservedContainer,
  Planner,
  RentalState,
} from "../contract.ts";
import { CONTAINER_DEFAULTS } from "../../crds/default-values.ts";
import { METADATA_PREFIX } from "./wire.ts";

type Spec = DesiredContainer["spec"];

/** ObservedContainer.config of a rental. */
export interface RentalConfig {
  state: RentalState;
  /** It runs on another machine than the EdgeDevice's. */
  elsewhere: boolean;
}

/** Only this backend's session puts anything there. */
export function rentalOf(observed: ObservedContainer): RentalConfig {
  return observed.config as RentalConfig;
}

const native = (path: string, note?: string): Capability => ({
  path,
  level: "Native",
  ...(note !== undefined && { note }),
});
const emulated = (path: string, note: string): Capability => ({ path, level: "Emulated", note });
const unsupported = (path: string, note: string): Capability => ({ path, level: "Unsupported", note });

const CAPABILITIES: readonly Capability[] = [
  native("image"),
  native("env", "not readable at the vendor afterwards"),
  native("envFrom", "resolved by Drayage"),
  native("ports", "at most 100; containerPort equals hostPort; TCP or HTTPS"),
  native("startupScript"),
  native("sshPublicKeys"),
  native("imagePullSecrets", "sent as docker_auth; counts at the next rental"),
  native("registryRefs", "sent as docker_auth; counts at the next rental"),
  native("backendOptions.hiveon.reRent"),
  native("backendOptions.hiveon.metadata", `keys that begin with ${METADATA_PREFIX} are Drayage's own`),
  native("desiredState=Running"),
  emulated("desiredState=Stopped", "ends the rental; Running again is another rental, which reRent must allow"),
  unsupported("desiredState=Paused", "a rental cannot be paused"),
  unsupported("name", "a rental has no name"),
  unsupported("imagePullPolicy", "the machine pulls as it does"),
  unsupported("command", "the image's ENTRYPOINT cannot be replaced"),
  unsupported("args", "the image's CMD cannot be replaced"),
  unsupported("ports.protocol=UDP", "TCP and HTTPS only"),
  unsupported("ports.hostPortEnd", "no ranges"),
  unsupported("ports.hostIP", "no addresses"),
  unsupported("volumes", "no volumes"),
  unsupported("resources", "a rental is the whole machine"),
  unsupported("restartPolicy", "a container that fails is a failed rental: see reRent"),
  unsupported("network", "no network settings"),
  unsupported("securityContext", "no privileges"),
  unsupported("devices", "no device files"),
  unsupported("logging", "ignored"),
  unsupported("tty", "ignored"),
  unsupported("stdin", "ignored"),
  unsupported("stop", "no signal and no time; ignored"),
];

/** Everything that a rental cannot have. Total. */
function validate(desired: DesiredContainer): FieldProblem[] {
  const { spec } = desired;
  return [...refused(spec), ...ignored(spec), ...portProblems(spec), ...valueProblems(desired)];
}

function invalid(path: string, message: string, reason = "InvalidSpec"): FieldProblem {
  return { path, kind: "Invalid", reason, message };
}

function refuse(path: string, message: string): FieldProblem {
  return { path, kind: "Unsupported", reason: "UnsupportedField", message };
}

function refused(spec: Spec): FieldProblem[] {
  const { network, securityContext, resources } = spec;
  const options = spec.backendOptions ?? {};
  const checks: readonly [boolean, string, string][] = [
    [spec.desiredState === "Paused", "desiredState", "Hiveon cannot pause a rental: use Running or Stopped"],
    [spec.name !== undefined, "name", "a rental has no name: leave name out"],
    [spec.imagePullPolicy !== undefined, "imagePullPolicy", "Hiveon takes no pull policy: leave imagePullPolicy out"],
    [(spec.command?.length ?? 0) > 0, "command", "Hiveon cannot replace an image's ENTRYPOINT: use startupScript"],
    [(spec.args?.length ?? 0) > 0, "args", "Hiveon cannot replace an image's CMD: use startupScript"],
    [(spec.volumes?.length ?? 0) > 0, "volumes", "Hiveon has no volumes: leave volumes out"],
    [
      resources?.limits !== undefined || resources?.reservations !== undefined || resources?.memorySwap !== undefined,
      "resources",
      "a rental has the whole machine: leave resources out",
    ],
    [
      spec.restartPolicy !== undefined,
      "restartPolicy",
      "Hiveon has no restart policy: leave restartPolicy out; backendOptions.hiveon.reRent says whether a failed rental is begun again",
    ],
    [
      network?.mode === "Host" ||
        network?.hostname !== undefined ||
        network?.domainname !== undefined ||
        (network?.extraHosts?.length ?? 0) > 0,
      "network",
      "Hiveon has no network settings: leave network out",
    ],
    [
      securityContext?.privileged === true || (securityContext?.capabilities?.add?.length ?? 0) > 0,
      "securityContext",
      "Hiveon gives no privileges: leave securityContext out",
    ],
    [(spec.devices?.length ?? 0) > 0, "devices", "Hiveon passes no device files: leave devices out"],
    [
      (spec.adoption?.policy ?? "Never") !== "Never",
      "adoption",
      "Hiveon has no list of rentals to adopt from: leave adoption out; a rental of this object is found by its own id",
    ],
    [spec.managementPolicy === "Observe", "managementPolicy", "Hiveon has no list of rentals to observe: use Manage"],
    [options.kanto !== undefined, "backendOptions.kanto", "this device is on Hiveon: leave backendOptions.kanto out"],
    [
      options.mittwald !== undefined,
      "backendOptions.mittwald",
      "this device is on Hiveon: leave backendOptions.mittwald out",
    ],
  ];
  return checks.flatMap(([asked, path, message]) => (asked ? [refuse(path, message)] : []));
}

/** Cosmetic, and without a place in a rental: only listed. */
function ignored(spec: Spec): FieldProblem[] {
  const fields = (["logging", "tty", "stdin", "stop"] as const).filter((path) => spec[path] !== undefined);
  const listed: FieldProblem[] = fields.map((path) => ({
    path,
    kind: "Ignored",
    reason: "UnsupportedField",
    message: `Hiveon knows no ${path}`,
  }));
  const unpublished = (spec.ports ?? []).some(({ hostPort }) => hostPort === undefined);
  return unpublished
    ? [
        ...listed,
        {
          path: "ports",
          kind: "Ignored",
          reason: "UnsupportedField",
          message: "ports without hostPort are not published: they only document the container",
        },
      ]
    : listed;
}

const MOST_PORTS = 100;

function portProblems(spec: Spec): FieldProblem[] {
  const ports = spec.ports ?? [];
  const problems = ports.flatMap((port, index) => {
    const path = `ports[${index}]`;
    const found: FieldProblem[] = [];
    const { hostPort, containerPort } = port;
    if (port.protocol === "UDP")
      found.push(refuse(`${path}.protocol`, "Hiveon publishes TCP and HTTPS only: use one of them"));
    if (port.hostPortEnd !== undefined)
      found.push(refuse(`${path}.hostPortEnd`, "Hiveon takes no port ranges: name one port"));
    if (port.hostIP !== undefined)
      found.push(refuse(`${path}.hostIP`, "Hiveon takes no address for a port: leave hostIP out"));
    if (hostPort !== undefined && containerPort !== hostPort)
      found.push(
        refuse(
          `${path}.containerPort`,
          `Hiveon knows one number per port, inside and outside: write containerPort: ${hostPort} too, or hostPort: ${containerPort}`,
        ),
      );
    for (const [key, value] of Object.entries({ hostPort, containerPort }))
      if (value !== undefined && (!Number.isInteger(value) || value < 1 || value > 65_535))
        found.push(invalid(`${path}.${key}`, `${path}.${key} must be between 1 and 65535`, "PortOutOfRange"));
    return found;
  });
  const published = ports.filter(({ hostPort }) => hostPort !== undefined).length;
  return published > MOST_PORTS
    ? [...problems, invalid("ports", `Hiveon publishes at most ${MOST_PORTS} ports: there are ${published}`)]
    : problems;
}

function valueProblems({ env, image, spec }: DesiredContainer): FieldProblem[] {
  const problems: FieldProblem[] = [];
  if (image === "") problems.push(invalid("image", "image must be set", "InvalidImageName"));
  // The value may be secret: it is not shown.
  const broken = env.find(({ value }) => value.includes("\0"));
  if (broken !== undefined)
    problems.push(invalid("env", `the value of ${broken.name} has a NUL character, which no process can be given`));
  const empty = (spec.sshPublicKeys ?? []).findIndex((key) => key.trim() === "");
  if (empty >= 0) problems.push(invalid(`sshPublicKeys[${empty}]`, "a key must not be empty"));
  const own = Object.keys(spec.backendOptions?.hiveon?.metadata ?? {}).find((key) => key.startsWith(METADATA_PREFIX));
  if (own !== undefined)
    problems.push(
      invalid(
        `backendOptions.hiveon.metadata.${own}`,
        `keys that begin with ${METADATA_PREFIX} are Drayage's own mark on the rental: choose another key`,
      ),
    );
  return problems;
}

function paths({ env, spec }: DesiredContainer): string[] {
  return [
    "image",
    ...(env.length > 0 ? ["env"] : []),
    ...(spec.ports !== undefined ? ["ports"] : []),
    ...(spec.startupScript !== undefined ? ["startupScript"] : []),
    ...(spec.sshPublicKeys !== undefined ? ["sshPublicKeys"] : []),
    ...(spec.backendOptions?.hiveon?.metadata !== undefined ? ["backendOptions.hiveon.metadata"] : []),
  ];
}

/** What can be seen to differ. An image that the vendor does not tell is never said to differ: the hash is what counts. */
function diff(desired: DesiredContainer, observed: ObservedContainer): Difference[] {
  const differences: Difference[] = [];
  if (observed.image !== "" && observed.image !== desired.image)
    differences.push({ path: "image", desired: desired.image, observed: observed.image, effect: "Recreate" });
  if (rentalOf(observed).elsewhere)
    differences.push({
      path: "deviceRef",
      desired: "this EdgeDevice's machine",
      observed: "another machine",
      effect: "Recreate",
    });
  return differences;
}

/** Registry credentials and the price are not in it: they count at the next rental only. */
function identity({ image, env, startupScript, spec }: DesiredContainer): unknown {
  const values = new Map(env.map(({ name, value }) => [name, value]));
  const ports = (spec.ports ?? [])
    .flatMap(({ hostPort, protocol = "TCP" }) => (hostPort === undefined ? [] : [`${hostPort}/${protocol}`]))
    .sort();
  return {
    image,
    ...(values.size > 0 && { env: [...values].sort(([a], [b]) => (a < b ? -1 : 1)) }),
    ...(ports.length > 0 && { ports }),
    ...(startupScript !== undefined && startupScript !== "" && { startupScript }),
    ...((spec.sshPublicKeys?.length ?? 0) > 0 && { sshPublicKeys: [...(spec.sshPublicKeys ?? [])].sort() }),
    ...(spec.backendOptions?.hiveon?.metadata !== undefined && { metadata: spec.backendOptions.hiveon.metadata }),
  };
}

export const hiveonPlanner: Planner = {
  type: "hiveon",
  capabilities: CAPABILITIES,
  coexistence: false,
  restartsByItself: false,
  nameConflicts: false,
  // The status page shows metadata only.
  exposesEnv: false,
  rentals: {
    state: (observed) => rentalOf(observed).state,
    reRent: ({ spec }) => spec.backendOptions?.hiveon?.reRent ?? CONTAINER_DEFAULTS.reRent,
    reRentPath: "spec.backendOptions.hiveon.reRent",
  },
  resolves: ["startupScript", "imagePullSecrets"],
  validate,
  paths,
  diff: (desired, observed) => diff(desired, observed),
  identity,
  update: (_desired, observed): CommandAction => {
    throw new Error(`rental ${observed.externalId} cannot be changed in place`);
  },
  stop: (observed, options) =>
    rentalOf(observed).state === "Stopped" ? undefined : { kind: "Stop", externalId: observed.externalId, ...options },
  remove: (observed, options) => ({ kind: "Stop", externalId: observed.externalId, ...options }),
  restarts: () => false,
};

/** EdgeContainer: one container on one device; the unit of reconciliation. */
import type { z } from "zod";
import type { KubeObject } from "../kube/types.ts";
import { backendOptions } from "./backend-options.ts";
import type { EdgeContainerStatus } from "./container-status.ts";
import { CONTAINER_DEFAULTS } from "./default-values.ts";
import { env, envFrom } from "./env.ts";
import { image } from "./image.ts";
import { adoption, backoff, deletion, restartPolicy, stop, updateStrategy } from "./lifecycle.ts";
import { portList, ports } from "./ports.ts";
import { localRef, textSource } from "./references.ts";
import { plainResources, resources } from "./resources.ts";
import { choice, flag, immutable, list, object, PAGE_KEY, ruled, text, type Rule } from "./schema.ts";
import { mounts, volumes } from "./volumes.ts";
import { devices, logging, network, plainLogging, securityContext } from "./workload.ts";

const argument = text("One argument.", { min: 0, max: 8192 });

const shape = {
  deviceRef: ruled(localRef("The EdgeDevice that the container runs on."), [
    immutable("deviceRef cannot be changed: delete this EdgeContainer and create one for the other device"),
  ]),
  name: text("Name of the container on the device. Unset: metadata.name.", {
    max: 253,
    pattern: /^[a-zA-Z0-9_][a-zA-Z0-9_.-]*$/,
    fix: "begin with a letter, digit or _ and go on with these, . and -",
  }).exactOptional(),
  image: image.exactOptional(),
  imagePullPolicy: choice("When the image is pulled. Unset: the backend's own.", [
    "Always",
    "IfNotPresent",
    "Never",
  ]).exactOptional(),
  registryRefs: list(
    "EdgeRegistry objects whose credentials may be used.",
    localRef("An EdgeRegistry."),
    16,
  ).exactOptional(),
  imagePullSecrets: list(
    "Secrets of type kubernetes.io/dockerconfigjson whose credentials may be used.",
    localRef("A Secret."),
    16,
  ).exactOptional(),
  desiredState: choice("Whether the container is to run.", ["Running", "Stopped", "Paused"], {
    default: CONTAINER_DEFAULTS.desiredState,
  }).exactOptional(),
  command: list("Replaces the image's ENTRYPOINT, as in a Pod.", argument, 256).exactOptional(),
  args: list("Replaces the image's CMD, as in a Pod.", argument, 256).exactOptional(),
  env: env.exactOptional(),
  envFrom: envFrom.exactOptional(),
  ports: ports.exactOptional(),
  volumes: volumes.exactOptional(),
  resources: resources.exactOptional(),
  restartPolicy: restartPolicy.exactOptional(),
  network: network.exactOptional(),
  securityContext: securityContext.exactOptional(),
  devices: devices.exactOptional(),
  logging: logging.exactOptional(),
  tty: flag("Whether the process gets a terminal.").exactOptional(),
  stdin: flag("Whether the process's standard input is kept open.").exactOptional(),
  startupScript: textSource("Script that is run when the container starts.", 65_536).exactOptional(),
  sshPublicKeys: list(
    "Public keys that may log in over SSH.",
    text("Key as in authorized_keys.", { max: 8192 }),
    32,
  ).exactOptional(),
  stop: stop.exactOptional(),
  updateStrategy: updateStrategy.exactOptional(),
  backoff: backoff.exactOptional(),
  managementPolicy: choice("Manage the container, or only Observe one that others made.", ["Manage", "Observe"], {
    default: CONTAINER_DEFAULTS.managementPolicy,
  }).exactOptional(),
  adoption: adoption.exactOptional(),
  driftPolicy: choice(
    "What is done about changes that others make: Correct or only Report them.",
    ["Correct", "Report"],
    { default: CONTAINER_DEFAULTS.driftPolicy },
  ).exactOptional(),
  suspend: flag("While true nothing is changed on the device; state is still observed, deletion still works.", {
    default: CONTAINER_DEFAULTS.suspend,
  }).exactOptional(),
  deletion: deletion.exactOptional(),
  backendOptions: backendOptions.exactOptional(),
};

const spec = object("What is wanted.", shape);

/** Rules over a whole spec, with or without its device. */
const RULES: readonly Rule<Omit<z.output<typeof spec>, "deviceRef">>[] = [
  {
    rule: `has(self.image) || (has(self.managementPolicy) && self.managementPolicy == "Observe")`,
    message: "image is required unless managementPolicy is Observe: set it, e.g. docker.io/library/nginx:1.27",
    holds: (value) => value.image !== undefined || value.managementPolicy === "Observe",
  },
  {
    rule: `!has(self.network) || !has(self.network.mode) || self.network.mode != "Host" || !has(self.ports) || !self.ports.exists(port, has(port.hostPort))`,
    message: "network.mode Host publishes every port by itself: remove hostPort from ports, or use mode Bridge",
    holds: (value) => value.network?.mode !== "Host" || !value.ports?.some((port) => port.hostPort !== undefined),
  },
  {
    rule: "!has(self.devices) || self.devices.size() == 0 || !has(self.securityContext) || !has(self.securityContext.privileged) || !self.securityContext.privileged",
    message: "a privileged container already has every device: remove devices, or set privileged to false",
    holds: (value) => (value.devices?.length ?? 0) === 0 || value.securityContext?.privileged !== true,
  },
];

export const edgeContainerSpec = ruled(spec, RULES);

const { deviceRef: _device, ...others } = shape;
const template = object(
  "An EdgeContainer's spec without deviceRef. That no mount path or host port is used twice, and that quantities are more than 0 and fit each other, is checked when the EdgeContainer is made.",
  {
    ...others,
    ports: portList.exactOptional(),
    volumes: mounts.exactOptional(),
    resources: plainResources.exactOptional(),
    logging: plainLogging.exactOptional(),
  },
);

/** What an EdgeStack says of each of its containers. */
export const edgeContainerTemplate = ruled(template.meta({ ...template.meta(), [PAGE_KEY]: "edgecontainer" }), RULES);

export type EdgeContainerTemplate = z.infer<typeof template>;
export type EdgeContainerSpec = z.infer<typeof spec>;

/** An EdgeContainer as read from the API server. */
export interface EdgeContainer extends KubeObject {
  spec: EdgeContainerSpec;
  /** Absent from objects that were written past the status default. */
  status?: EdgeContainerStatus;
}

export { edgeContainerStatus } from "./container-status.ts";
export type {
  ContainerPhase,
  ContainerState,
  EdgeContainerStatus,
  LastFailure,
  Operation,
} from "./container-status.ts";

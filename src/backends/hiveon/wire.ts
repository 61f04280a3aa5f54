/**
 * The vendors API in JSON: what is sent, and how answers are read. Requests: https://clore-docs.hiveon.ai/api-endpoints/container-start and
 * .../container-stop; answers: .../deployment-status-get. Names and enumerations are Protobuf's, so zero values may be missing and unknown words
 * may come; whatever cannot be read is absent, and ids are opaque.
 */
import type { DesiredContainer, Marker, RentalState } from "../contract.ts";
import { isObject, numberAt, objectAt, textAt, type JsonObject } from "../guards.ts";

const DEPLOYMENTS = "/vendors/v1/machines/deployments";

export const START_PATH = `${DEPLOYMENTS}/start`;

export function stopPath(deploymentId: string): string {
  return `${DEPLOYMENTS}/${encodeURIComponent(deploymentId)}/stop`;
}

export function statusPath(deploymentId: string): string {
  return `${DEPLOYMENTS}/${encodeURIComponent(deploymentId)}`;
}

/** @param template EdgeBackend.spec.hiveon.externalIdPath; without it both kinds of id share a path, as the vendor's page has it. */
export function externalStatusPath(externalId: string, template: string | undefined): string {
  return template === undefined ? statusPath(externalId) : template.replace("{id}", encodeURIComponent(externalId));
}

/** Beside the user's own metadata. All values are texts, since the status page says map<string, string>. */
export const METADATA_PREFIX = "drayage_";

/** A status as read. */
export interface DeploymentStatus {
  deploymentId: string;
  externalId: string | undefined;
  machineId: string | undefined;
  state: RentalState;
  /** The vendor's word. */
  status: string;
  failCode: number | undefined;
  failMessage: string | undefined;
  metadata: Readonly<Record<string, string>>;
}

const STATES: Readonly<Record<string, RentalState>> = {
  STATUS_PENDING: "Pending",
  STATUS_RUNNING: "Running",
  STATUS_STOPPING: "Stopping",
  STATUS_STOPPED: "Stopped",
  STATUS_FAILED: "Failed",
};

/** @returns undefined if it is no status of a deployment. */
export function readStatus(json: unknown): DeploymentStatus | undefined {
  if (!isObject(json)) return undefined;
  const deploymentId = textAt(json, "deployment_id");
  if (deploymentId === undefined) return undefined;
  const status = textAt(json, "status") ?? "STATUS_UNSPECIFIED";
  return {
    deploymentId,
    externalId: textAt(json, "external_deployment_id"),
    machineId: textAt(json, "machine_id"),
    state: STATES[status] ?? "Unknown",
    status: status.slice(0, 64),
    ...readFailReason(json),
    metadata: Object.fromEntries(
      Object.entries(objectAt(json, "metadata")).filter(
        (entry): entry is [string, string] => typeof entry[1] === "string",
      ),
    ),
  };
}

/** Kept of a reason, characters; what is shown of it is shorter, once it is clear of secrets (ledger.ts). */
const LONGEST_REASON = 4_096;

/** An object; in the older edition of the API a text. Zero means none. */
function readFailReason(json: JsonObject): Pick<DeploymentStatus, "failCode" | "failMessage"> {
  const plain = textAt(json, "fail_reason");
  const reason = objectAt(json, "fail_reason");
  const code = numberAt(reason, "code");
  return {
    failCode: code === 0 || !Number.isInteger(code) ? undefined : code,
    failMessage: (plain ?? textAt(reason, "message"))?.slice(0, LONGEST_REASON),
  };
}

/** The marker out of a deployment's metadata. Without one (the vendor need not echo it) the names are known from the id alone. */
export function readMarker(
  metadata: DeploymentStatus["metadata"],
  names: Pick<Marker, "owner" | "namespace" | "name">,
): Marker {
  const at = (key: string): string => metadata[`${METADATA_PREFIX}${key}`] ?? "";
  return { ...names, uid: at("uid"), operation: at("operation"), hash: at("hash") };
}

/** The image that a rental was begun with, where the vendor echoes our metadata. */
export function imageOf(metadata: DeploymentStatus["metadata"]): string {
  return metadata[`${METADATA_PREFIX}image`] ?? "";
}

/** The body of a start. */
export function startBody(
  desired: DesiredContainer,
  marker: Marker,
  target: { machineId: string; machinePriceId: string; externalId: string },
): JsonObject {
  const { spec, registryAuth } = desired;
  const { owner, namespace, name, uid, operation, hash } = marker;
  const ours = { owner, namespace, name, uid, operation, hash, image: desired.image };
  const ports = (spec.ports ?? []).flatMap(({ hostPort, protocol }) =>
    hostPort === undefined
      ? []
      : [{ host_port: hostPort, protocol: protocol === "HTTPS" ? "PORT_PROTOCOL_HTTPS" : "PORT_PROTOCOL_TCP" }],
  );
  return {
    machine_id: target.machineId,
    machine_price_id: target.machinePriceId,
    external_deployment_id: target.externalId,
    ...((spec.sshPublicKeys?.length ?? 0) > 0 && { ssh_pub_keys: spec.sshPublicKeys }),
    container_config: {
      image: desired.image,
      ...(registryAuth !== undefined && {
        docker_auth: { server: registryAuth.server, login: registryAuth.username, password: registryAuth.password },
      }),
      ...(ports.length > 0 && { ports }),
      ...(desired.startupScript !== undefined &&
        desired.startupScript !== "" && { startup_script: desired.startupScript }),
      ...(desired.env.length > 0 && {
        environment_variables: Object.fromEntries(desired.env.map(({ name: key, value }) => [key, value])),
      }),
    },
    metadata: {
      ...spec.backendOptions?.hiveon?.metadata,
      ...Object.fromEntries(Object.entries(ours).map(([key, value]) => [`${METADATA_PREFIX}${key}`, value])),
    },
  };
}

/** What of a start must never be seen in a text: whatever came, or may have come, from a Secret. */
export function secretsOf(desired: DesiredContainer): string[] {
  const { registryAuth, startupScript } = desired;
  return [
    ...desired.env.map(({ value }) => value),
    ...(startupScript === undefined ? [] : [startupScript]),
    ...(registryAuth === undefined ? [] : [registryAuth.password, registryAuth.username]),
  ];
}

/** The vendor's page asks for a non-empty text in it. */
export const STOP_BODY: JsonObject = { metadata: { reason: "drayage" } };

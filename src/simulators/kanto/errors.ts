// What the daemon says when it refuses or fails: the three error codes of its wire protocol, the texts of its container manager, and the
// panic that ends its process. Texts are protocol facts (clients tell the semantic errors apart by nothing else), read from the daemon's
// answers and from container-management's sources (things/client/thing_errors.go, containerm/mgr, containerm/util, containerm/ctr).

/** An error that the protocol layer raises itself, with its own code; everything else that fails is `messages:execution.failed`. */
export class ThingError extends Error {
  override readonly name = "ThingError";
  readonly code: string;
  readonly status: number;

  constructor(code: string, status: number, message: string) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

export const parameterInvalid = (message: string): ThingError =>
  new ThingError("messages:parameter.invalid", 400, message);
export const subjectNotFound = (message: string): ThingError =>
  new ThingError("messages:subject.notfound", 404, message);

/** The error value of a response. Any error that is not a ThingError becomes a 500. */
export function errorValue(error: unknown): { error: string; status: number; message: string } {
  if (error instanceof ThingError) {
    return { error: error.code, status: error.status, message: error.message };
  }
  return {
    error: "messages:execution.failed",
    status: 500,
    message: error instanceof Error ? error.message : String(error),
  };
}

/** A nil dereference or a failed type assertion in the real daemon: its whole process ends, the containers live on. */
export class Panic extends Error {
  override readonly name = "Panic";
}

/** The daemon process ended while an operation was under way; nobody is left to answer. */
export class ProcessEnded extends Error {
  override readonly name = "ProcessEnded";
}

/** The start error of the network layer: no event tells of it, the state stays as it was. */
export class NetworkError extends Error {
  override readonly name = "NetworkError";
}

/** Texts of the container manager, by what went wrong. */
export const text = {
  restartCanceled: "container's restart manager is canceled",
  noSuchContainer: (id: string) => `no such container with id = ${id} exists`,
  alreadyExists: (id: string) => `container with id = ${id} already exists`,
  alreadyRunning: (id: string) => `the container with id = ${id} is already running`,
  startPaused: (id: string) => `the container with id = ${id} is paused - cannot start it - try unpausing it instead`,
  notStoppable: (id: string, status: string) =>
    `cannot perform stop operation for container: ${id}, with state: ${status}`,
  notPausable: (id: string, status: string) => `container with id = ${id} is not running - current status is ${status}`,
  notPaused: (id: string) => `container id = ${id} is not paused - cannot unpause it `,
  notStopped: (id: string) => `container with id = ${id} is not stopped - must set the force flag to true to remove it`,
  stopTimedOut: (id: string, signal: string) => `could not stop container with ID = ${id} with ${signal}`,
  negativeTimeout: (timeout: number) => `the timeout = ${timeout} shouldn't be negative`,
  invalidSignal: (signal: string) => `invalid signal = ${signal}`,
  featureNotFound: (feature: string) => `feature [${feature}] not found `,
  thingNotFound: (thing: string) => `thing with ID = ${thing} is not found`,
  unsupportedOperation: (operation: string) => `unsupported operation ${operation}`,
  noFeatureHandler: (feature: string) =>
    `the target feature ${feature} does not have e registered operations handler - thus, the command will not be processed`,
  noThingHandler: (thing: string) =>
    `the target thing ID = ${thing} does not have e registered operations handler - thus, the command will not be processed`,
  noThingOperation: (device: string) => `missing operation name for device id [${device}]`,
  invalidMessage: (device: string, why: string) => `invalid Ditto message received for device id [${device}]: ${why}`,
  portTaken: (endpoint: string, hostIp: string, port: number) =>
    `driver failed programming external connectivity on endpoint ${endpoint}: Bind for ${hostIp}:${port} failed: port is already allocated`,
  badExtraHost: (parts: string[]) => `host [${parts.join(" ")}] is incorrectly defined`,
  taskGone: (id: string) => `no running task found: task ${id} not found: not found`,
} as const;

const SHIM =
  "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process:";

/** Texts of a start that fails in runc, and of devices that are not there. */
export const runtimeText = {
  noCommand: (command: string) =>
    command.includes("/")
      ? `${SHIM} exec: "${command}": stat ${command}: no such file or directory: unknown`
      : `${SHIM} exec: "${command}": executable file not found in $PATH: unknown`,
  noMountSource: (source: string, destination: string) =>
    `${SHIM} error during container init: error mounting "${source}" to rootfs at "${destination}": stat ${source}: no such file or directory: unknown`,
  hostNameTooLong: `${SHIM} error during container init: sethostname: invalid argument: unknown`,
  noDevice: (path: string) =>
    `error gathering device information while adding custom device "${path}": no such file or directory`,
} as const;

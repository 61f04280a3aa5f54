/**
 * The vendor's errors. Their stream carries no code, only a sentence, so both are looked up; the codes and sentences are the deploy page's:
 * https://docs.sixfab.com/reference/deploy_container_assets__asset_id__alpon_containers_post (the last two: the update page, and our guess after it).
 * What each means for a controller is our own judgement.
 */
import type { BackendFailure, WorkloadReason } from "../errors.ts";
import { isObject, textAt } from "../guards.ts";

const TEXTS = {
  ErrorNoImage: "No image provided for the container.",
  ErrorNoName: "No name provided for the container.",
  AssetNotFound: "The asset with the specified ID was not found.",
  AssetNotAlponDevice: "The device is not an ALPON device.",
  ContainerExists: "A container with the same name already exists.",
  ErrorNodePortIsNotCorrectRange: "Port is not in the correct range. The range of valid ports is 30000-32767.",
  ErrorBindingRequest: "Error binding request to the server. Please try again.",
  ErrorPortInUse: "The desired port is already in use by another container. Please choose a different port.",
  ErrorDeploymentAlreadyExist: "Deployment already exists.",
  ErrorSaveDeploymentToFile: "Error saving deployment to file. Please try again.",
  ErrorNameExists: "A container with the same name already exists.",
  ErrorControlLoopAlreadyRunning: "Control loop is already running. Please try again in a few seconds.",
  ImagePullBackOff:
    "Failed to fetch/pull the image from the requested registry. The image might be private or unavailable. Please verify the image name and credentials, then try again.",
  CrashLoopBackOff:
    "The container is crashing repeatedly. This could be due to a misconfiguration in the container. Please check the container logs and try to resolve the issue.",
  CreateContainerConfigError:
    "There is an error in the container's configuration preventing it from starting. Please verify the configuration settings and try again.",
  CreateContainerError:
    "An error occurred while trying to create the container. Please ensure all necessary resources are available and try again.",
  InvalidImageName:
    "The provided image name is invalid. Please ensure the image name follows the correct format and try again.",
  RunContainerError:
    "An error occurred while starting the container. Please check the container logs for more details and try again.",
  ErrImageNeverPull:
    "The image is not present locally and is set to never pull. Please update your configuration to allow image pulling or provide the image locally.",
  Unknown: "An unknown error occurred. Please try again later or contact support if the issue persists.",
  DeviceNotReachable: "The device is not reachable.",
  AppNotFound: "The app with the specified name was not found.",
  ContainerNotFound: "The container with the specified name was not found.",
} as const;

export type AlponError = keyof typeof TEXTS;

const fold = (text: string): string => text.trim().replaceAll(/\s+/g, " ").toLowerCase();
const BY_TEXT: ReadonlyMap<string, AlponError> = new Map(
  // Of two codes with one sentence the first stands.
  Object.keys(TEXTS)
    .filter(isCode)
    .toReversed()
    .map((code) => [fold(TEXTS[code]), code]),
);

function isCode(text: string): text is AlponError {
  return Object.hasOwn(TEXTS, text);
}

/** The error that a text is, if it is the vendor's sentence or code; a sentence in a longer text counts. */
export function errorOfText(text: string): AlponError | undefined {
  const folded = fold(text);
  const exact = BY_TEXT.get(folded);
  if (exact !== undefined) return exact;
  const word = text.trim();
  if (isCode(word)) return word;
  for (const [sentence, code] of BY_TEXT) if (folded.includes(sentence)) return code;
  return undefined;
}

/**
 * The error in an event or an error body: by one of the keys that may hold a code, else by its sentence.
 *
 * @returns undefined if neither is known.
 */
export function errorIn(body: unknown, codeKeys: readonly string[], message: string): AlponError | undefined {
  if (isObject(body))
    for (const key of codeKeys) {
      const code = textAt(body, key);
      if (code !== undefined && isCode(code)) return code;
    }
  return errorOfText(message);
}

/** Somebody has the name already. */
export function isTaken(error: AlponError | undefined): boolean {
  return error === "ContainerExists" || error === "ErrorNameExists" || error === "ErrorDeploymentAlreadyExist";
}

/** There is no such container. */
export function isMissing(error: AlponError | undefined): boolean {
  return error === "AppNotFound" || error === "ContainerNotFound";
}

/** A waiting reason of the kubelet's on the device: the container stays there, and it tries again by itself. */
export function kubeletReason(error: AlponError): WorkloadReason | undefined {
  switch (error) {
    case "ImagePullBackOff":
      return "ErrImagePull";
    case "CrashLoopBackOff":
    case "CreateContainerConfigError":
    case "CreateContainerError":
    case "InvalidImageName":
    case "RunContainerError":
    case "ErrImageNeverPull":
      return error;
    default:
      return undefined;
  }
}

/** @param message the vendor's own words, for what the table does not know. */
export function failureOfError(error: AlponError | undefined, message: string): BackendFailure {
  const text = error === undefined ? message : `${error}: ${TEXTS[error]}`;
  switch (error) {
    case undefined:
    case "Unknown":
    case "ErrorBindingRequest":
    case "ErrorSaveDeploymentToFile":
    case "ErrorControlLoopAlreadyRunning":
      return { class: "Transient", message: text === "" ? "the vendor reports a failure without saying which" : text };
    case "ErrorNoImage":
      return { class: "Invalid", field: "image", reason: "InvalidSpec", message: text };
    case "ErrorNoName":
      return { class: "Invalid", field: "name", reason: "InvalidSpec", message: text };
    case "ErrorNodePortIsNotCorrectRange":
      return { class: "Invalid", field: "ports", reason: "PortOutOfRange", message: text };
    case "AssetNotFound":
      return { class: "Transient", message: `${text} Is spec.alpon.assetId of the EdgeDevice right?` };
    case "AssetNotAlponDevice":
      return { class: "Invalid", reason: "WrongDeviceKind", message: text };
    case "ContainerExists":
    case "ErrorNameExists":
    case "ErrorDeploymentAlreadyExist":
      return { class: "Conflict", reason: "NameConflict", message: text };
    case "ErrorPortInUse":
      return { class: "Conflict", reason: "PortConflict", message: text };
    case "AppNotFound":
    case "ContainerNotFound":
      return { class: "Conflict", reason: "NotFound", message: text };
    case "DeviceNotReachable":
      return { class: "Unreachable", message: text };
    case "InvalidImageName":
      return { class: "Invalid", field: "image", reason: "InvalidImageName", message: text };
    case "ImagePullBackOff":
    case "CrashLoopBackOff":
    case "CreateContainerConfigError":
    case "CreateContainerError":
    case "RunContainerError":
    case "ErrImageNeverPull":
      return { class: "WorkloadFailed", reason: kubeletReason(error) ?? "Error", message: text };
    default:
      return error satisfies never;
  }
}

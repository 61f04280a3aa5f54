// The vendor's sentences, to the letter: the stream carries no code, so clients key on them.
// https://docs.sixfab.com/reference/deploy_container_assets__asset_id__alpon_containers_post

/** Error codes that the deploy page lists. */
export const ERROR_TEXTS = {
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
} as const;

export type ErrorCode = keyof typeof ERROR_TEXTS;

/** What updates answer for a name that is not there. The page of the older "apps" edition has the first; the other is guessed after it. */
export const NOT_FOUND_TEXTS = {
  AppNotFound: "The app with the specified name was not found.",
  ContainerNotFound: "The container with the specified name was not found.",
} as const;

/** Reasons of the kubelet's; after one of them the container stays on the device. */
export const KUBELET_REASONS: ReadonlySet<ErrorCode> = new Set([
  "ImagePullBackOff",
  "CrashLoopBackOff",
  "CreateContainerConfigError",
  "CreateContainerError",
  "InvalidImageName",
  "RunContainerError",
  "ErrImageNeverPull",
]);

/** HTTP status of an error where errors are told by status. */
export function httpStatusOf(code: ErrorCode | "ContainerNotFound"): number {
  switch (code) {
    case "AssetNotFound":
    case "ContainerNotFound":
      return 404;
    case "ContainerExists":
    case "ErrorNameExists":
    case "ErrorDeploymentAlreadyExist":
    case "ErrorPortInUse":
    case "ErrorControlLoopAlreadyRunning":
      return 409;
    case "DeviceNotReachable":
      return 503;
    default:
      return 400;
  }
}

export function textOf(code: ErrorCode | "ContainerNotFound"): string {
  return code === "ContainerNotFound" ? NOT_FOUND_TEXTS.ContainerNotFound : ERROR_TEXTS[code];
}

// A container's definition as it was declared, how it is shown in answers, and whether two of them are the same for a running container.

import { isDeepStrictEqual } from "node:util";
import { withLibrary, type ImageBehaviour } from "./images.ts";
import type { Deploy, Quirks, RestartPolicy, ServiceState } from "./types.ts";

/** A service of a PUT or PATCH, after its check. */
export interface ServiceRequest {
  image?: string;
  description?: string;
  command?: string[];
  entrypoint?: string[];
  environment?: Record<string, string>;
  /** The old name of `environment`. */
  envs?: Record<string, string>;
  ports?: string[];
  volumes?: string[];
  restartPolicy?: string;
  deploy?: Deploy;
}

export interface Declared {
  readonly image: string;
  readonly description: string;
  /** Undefined, like an empty list in a request: the image's. */
  readonly command: readonly string[] | undefined;
  readonly entrypoint: readonly string[] | undefined;
  readonly environment: Readonly<Record<string, string>>;
  readonly ports: readonly string[];
  readonly volumes: readonly string[];
  readonly restartPolicy: RestartPolicy;
  readonly deploy: Deploy | undefined;
}

const DEFAULTS: Omit<Declared, "image" | "description"> = {
  command: undefined,
  entrypoint: undefined,
  environment: {},
  ports: [],
  volumes: [],
  restartPolicy: "always",
  deploy: undefined,
};

/** A new container, or one that a PUT replaces. @param kept what the request's omissions leave of the old one */
export function declare(request: ServiceRequest, kept: Partial<Declared> = {}): Declared {
  return merge({ ...DEFAULTS, image: "", description: "", ...kept }, request);
}

/** What a PATCH makes of a container: each field that is there replaces the old one as a whole. */
export function merge(old: Declared, request: ServiceRequest): Declared {
  const { image, description, command, entrypoint, ports, volumes, restartPolicy, deploy } = request;
  const environment = request.environment ?? request.envs;
  return {
    image: image ?? old.image,
    description: description ?? old.description,
    command: command === undefined ? old.command : filled(command),
    entrypoint: entrypoint === undefined ? old.entrypoint : filled(entrypoint),
    environment: environment ?? old.environment,
    ports: ports ?? old.ports,
    volumes: volumes ?? old.volumes,
    restartPolicy: restartPolicy === undefined ? old.restartPolicy : policyOf(restartPolicy),
    deploy: deploy === undefined ? old.deploy : hasLimits(deploy) ? deploy : undefined,
  };
}

/** Whether a container of one would have to be recreated to be one of the other. The description does not count. */
export function differs(one: Declared, other: Declared): boolean {
  return !isDeepStrictEqual({ ...one, description: "" }, { ...other, description: "" });
}

/** As answers show it. @param digest of the image, where it is known */
export function shown(
  declared: Declared,
  image: Pick<ImageBehaviour, "command" | "entrypoint">,
  digest: string | undefined,
  { libraryPrefix, portsEcho }: Quirks,
): ServiceState {
  const { environment, ports, volumes } = declared;
  const entrypoint = declared.entrypoint ?? image.entrypoint;
  // A container with an entrypoint of its own does not get the image's command, as in Docker.
  const command = declared.command ?? (declared.entrypoint === undefined ? image.command : undefined);
  const names = Object.keys(environment);
  return {
    image: libraryPrefix ? withLibrary(declared.image) : declared.image,
    ...(digest !== undefined && { imageDigest: digest }),
    ...(command !== undefined && { command: [...command] }),
    ...(entrypoint !== undefined && { entrypoint: [...entrypoint] }),
    ...(names.length > 0 && { envs: { ...environment }, envOrder: names.toSorted() }),
    ...(ports.length > 0 && { ports: ports.map((port) => echo(port, portsEcho)) }),
    ...(volumes.length > 0 && { volumes: [...volumes] }),
  };
}

/** The named volumes that it mounts, not the paths. */
export function mounts(volumes: readonly string[]): string[] {
  return volumes.map((volume) => volume.split(":")[0] ?? "").filter((source) => !source.startsWith("/"));
}

function echo(port: string, how: Quirks["portsEcho"]): string {
  if (how === "given") return port;
  const [numbers = "", protocol = "tcp"] = port.split("/");
  const number = numbers.split(":").at(-1) ?? "";
  return how === "short" ? `${number}/${protocol}` : `${number}:${number}/${protocol}`;
}

function filled(list: string[]): string[] | undefined {
  return list.length === 0 ? undefined : list;
}

function hasLimits({ resources }: Deploy): boolean {
  return resources?.limits?.cpus !== undefined || resources?.limits?.memory !== undefined;
}

/** A number of attempts, `on-failure:3`, is taken and means nothing. */
function policyOf(text: string): RestartPolicy {
  const policy = text.split(":")[0];
  return policy === "no" || policy === "on-failure" || policy === "unless-stopped" ? policy : "always";
}

/** Registry credentials out of Secrets of type kubernetes.io/dockerconfigjson (spec.imagePullSecrets), as the kubelet finds them. */
import type { RegistryAuth } from "../../backends/contract.ts";

const KEY = ".dockerconfigjson";

/** The key that such a Secret must have. */
export const DOCKER_CONFIG_KEY = KEY;

/**
 * The login for an image's registry; undefined if the Secret has none for it.
 *
 * @throws SyntaxError if the Secret's text is no JSON. Its message must not be shown: it may quote the text.
 */
export function authFor(image: string, dockerConfig: string): RegistryAuth | undefined {
  const host = image.split("/")[0] ?? "";
  const config: unknown = JSON.parse(dockerConfig);
  const auths = member(config, "auths");
  if (typeof auths !== "object" || auths === null) return undefined;
  for (const [server, entry] of Object.entries(auths)) {
    if (hostOf(server) !== canonicalHost(host)) continue;
    const login = loginOf(entry);
    if (login !== undefined) return { server, ...login };
  }
  return undefined;
}

function loginOf(entry: unknown): { username: string; password: string } | undefined {
  const username = member(entry, "username");
  const password = member(entry, "password");
  if (typeof username === "string" && typeof password === "string") return { username, password };
  const auth = member(entry, "auth");
  if (typeof auth !== "string") return undefined;
  const text = Buffer.from(auth, "base64").toString("utf8");
  const colon = text.indexOf(":");
  return colon < 1 ? undefined : { username: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** `https://index.docker.io/v1/` is what docker login writes for Docker Hub; a scheme and a path say nothing about which registry it is. */
function hostOf(server: string): string {
  return canonicalHost(server.replace(/^[a-z]+:\/\//, "").split("/")[0] ?? "");
}

function canonicalHost(host: string): string {
  return host === "index.docker.io" || host === "registry-1.docker.io" ? "docker.io" : host.toLowerCase();
}

function member(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null && key in value
    ? (value as Record<string, unknown>)[key]
    : undefined;
}

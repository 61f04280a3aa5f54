/**
 * Logins at image registries, out of Secrets of type kubernetes.io/dockerconfigjson and kubernetes.io/basic-auth. Which entry is for which
 * image is decided as the kubelet does (pkg/credentialprovider/keyring.go): the host has to be the same, a path has to be the begin of the
 * image's, and the longest entry wins; but a path ends at a slash here, so that one team's entry never fits its neighbour's images. Pure.
 */
import type { RegistryAuth } from "../../backends/contract.ts";
import { NotText, type ValueData } from "../references.ts";

/** The key of a Secret of type kubernetes.io/dockerconfigjson. */
export const DOCKER_CONFIG_KEY = ".dockerconfigjson";

/** What makes a Secret unusable as a login: the names of keys, never a value. */
export interface LoginProblem {
  reason: "SecretKeyMissing" | "SecretMalformed";
  /** Goes on after "Secret <namespace>/<name>". */
  message: string;
}

/** A login, or why there is none. */
export type FoundLogin = { ok: true; auth: RegistryAuth } | { ok: false; problem: LoginProblem };

/**
 * How well an entry fits an image: the length of what they have in common, host and whole parts of the path; undefined if it does not.
 *
 * @param server e.g. `ghcr.io/acme`, or `https://index.docker.io/v1/`, which is what docker login writes for Docker Hub.
 * @param image a fully qualified image reference, or the begin of one.
 */
export function matchLength(server: string, image: string): number | undefined {
  const entry = placeOf(server.replace(API_VERSION, ""));
  const wanted = placeOf(withoutTag(image));
  if (entry.host !== wanted.host) return undefined;
  if (entry.path !== "" && !`${wanted.path}/`.startsWith(`${entry.path}/`)) return undefined;
  return entry.host.length + entry.path.length;
}

/**
 * The login for an image; undefined if the Secret has none for it.
 *
 * @throws SyntaxError if the Secret's text is no JSON. Its message must not be shown: it may quote the text.
 */
export function authFor(image: string, dockerConfig: string): RegistryAuth | undefined {
  const config: unknown = JSON.parse(dockerConfig);
  const auths = member(config, "auths");
  if (typeof auths !== "object" || auths === null) return undefined;
  let best: { auth: RegistryAuth; length: number } | undefined;
  for (const [server, entry] of Object.entries(auths)) {
    const length = matchLength(server, image);
    if (length === undefined || (best !== undefined && best.length >= length)) continue;
    const login = loginOf(entry);
    if (login !== undefined) best = { auth: { server, ...login }, length };
  }
  return best?.auth;
}

/** The login that an EdgeRegistry's Secret holds for its host. */
export function loginFrom(data: ValueData, host: string): FoundLogin {
  const server = serverOf(host);
  const config = data.get(DOCKER_CONFIG_KEY);
  if (config !== undefined) {
    if (config instanceof NotText) return malformed(`key "${DOCKER_CONFIG_KEY}" is not UTF-8 text`);
    try {
      const auth = authFor(host, config);
      if (auth !== undefined) return checked({ ...auth, server });
    } catch {
      // The parser's own words may quote the Secret.
      return malformed(`key "${DOCKER_CONFIG_KEY}" is no JSON`);
    }
    return { ok: false, problem: { reason: "SecretKeyMissing", message: `has no login for ${host}` } };
  }
  const username = data.get("username");
  const password = data.get("password");
  if (username === undefined || password === undefined) {
    const message = `has no key "${username === undefined && password === undefined ? DOCKER_CONFIG_KEY : username === undefined ? "username" : "password"}"; its type is to be kubernetes.io/dockerconfigjson or kubernetes.io/basic-auth`;
    return { ok: false, problem: { reason: "SecretKeyMissing", message } };
  }
  if (username instanceof NotText || password instanceof NotText)
    return malformed("username or password is not UTF-8 text");
  return checked({ server, username, password });
}

/** The host alone, as vendors take it. */
function serverOf(host: string): string {
  return host.split("/")[0] ?? host;
}

function checked(auth: RegistryAuth): FoundLogin {
  if (auth.username === "" || auth.password === "") return malformed("username or password is empty");
  // A line feed at the end is what `echo` leaves; no password ends so, and it makes every login fail.
  if (/[\r\n]$/.test(auth.username) || /[\r\n]$/.test(auth.password))
    return malformed("username or password ends with a line break; create it with --from-literal or printf '%s'");
  return { ok: true, auth };
}

function malformed(message: string): FoundLogin {
  return { ok: false, problem: { reason: "SecretMalformed", message: `cannot be used: ${message}` } };
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

/** What docker login writes behind a host for the registry's API. */
const API_VERSION = /\/v[12]\/*$/;

/** A scheme says nothing about which registry it is. */
function placeOf(text: string): { host: string; path: string } {
  const bare = text.replace(/^[a-z]+:\/\//, "");
  const slash = bare.indexOf("/");
  const host = slash === -1 ? bare : bare.slice(0, slash);
  const path = slash === -1 ? "" : bare.slice(slash + 1);
  return { host: canonicalHost(host), path: path.replace(/\/+$/, "") };
}

function withoutTag(image: string): string {
  const named = image.split("@")[0] ?? "";
  const colon = named.lastIndexOf(":");
  return colon > named.lastIndexOf("/") && named.includes("/") ? named.slice(0, colon) : named;
}

/** Docker Hub has three names. */
export function canonicalHost(host: string): string {
  return host === "index.docker.io" || host === "registry-1.docker.io" ? "docker.io" : host.toLowerCase();
}

function member(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null && key in value
    ? (value as Record<string, unknown>)[key]
    : undefined;
}

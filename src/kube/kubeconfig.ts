/**
 * Credentials from kubeconfig files, read by @kubernetes/client-node: certificates, tokens, exec plugins, OIDC. Several
 * files merge as kubectl does it: the first definition of a name wins, and missing files are passed over.
 */

import { existsSync } from "node:fs";
import type { RequestOptions } from "node:https";
import type { Cluster, Context, KubeConfig, User } from "@kubernetes/client-node";
import type { Clock } from "./clock.ts";
import { ClusterAccessError, type ClusterAccess } from "./access.ts";
import { Credentials, readCredentialFile, type Reading } from "./credentials.ts";

export interface KubeconfigOptions {
  files: readonly string[];
  /** What named the files, for messages: "--kubeconfig", "KUBECONFIG", ... */
  origin: string;
  context?: string | undefined;
  clock: Clock;
}

interface Selected {
  config: KubeConfig;
  context: Context;
  cluster: Cluster;
  user: User;
}

/** @throws ClusterAccessError */
export async function kubeconfigAccess(options: KubeconfigOptions): Promise<ClusterAccess> {
  const { origin, clock } = options;
  const named = options.files.filter((file) => file !== "");
  const files = named.length > 1 ? named.filter((file) => existsSync(file)) : named;
  if (files.length === 0) {
    throw new ClusterAccessError(`none of the files named by ${origin} exists: ${named.join(", ") || "(empty)"}`);
  }
  const source = `kubeconfig ${files.join(", ")}`;
  let selected = await load(files, options.context, source);
  const read = async (forced: boolean): Promise<Reading> => {
    // A forced reading starts from the files, which also empties the exec plugin's cache.
    selected = forced ? await load(files, options.context, source) : selected;
    return apply(selected, source);
  };
  const credentials = await Credentials.open(read, clock);
  return {
    server: serverOf(selected.cluster, source),
    namespace: selected.context.namespace ?? "default",
    source: `${source}, context ${selected.context.name}`,
    ...(selected.cluster.proxyUrl === undefined ? {} : { proxyUrl: proxyOf(selected.cluster.proxyUrl, source) }),
    get tls() {
      return credentials.tls;
    },
    authHeader: () => credentials.authHeader(),
    refresh: () => credentials.refresh(),
  };
}

async function load(files: readonly string[], wanted: string | undefined, source: string): Promise<Selected> {
  const { KubeConfig } = await import("@kubernetes/client-node");
  const clusters: Cluster[] = [];
  const users: User[] = [];
  const contexts: Context[] = [];
  let current: string | undefined = wanted;
  const addNew = <N extends { name: string }>(into: N[], from: readonly N[] | undefined): void => {
    into.push(...(from ?? []).filter((each) => !into.some((known) => known.name === each.name)));
  };
  for (const file of files) {
    // Read here first, for a message that says what is wrong with which file.
    await readCredentialFile(file, "kubeconfig");
    const part = new KubeConfig();
    try {
      part.loadFromFile(file);
    } catch (error) {
      throw new ClusterAccessError(`kubeconfig ${file} is not valid: ${parseProblem(error)}`);
    }
    addNew(clusters, part.clusters);
    addNew(users, part.users);
    addNew(contexts, part.contexts);
    current ??= part.currentContext === "" ? undefined : part.currentContext;
  }
  if (current === undefined) {
    throw new ClusterAccessError(
      `${source} has no current-context; set one with kubectl config use-context, or --context`,
    );
  }
  const context = contexts.find((each) => each.name === current);
  if (context === undefined) {
    throw new ClusterAccessError(
      `${source} has no context "${current}"; it has: ${contexts.map((each) => each.name).join(", ") || "none"}`,
    );
  }
  const cluster = clusters.find((each) => each.name === context.cluster);
  if (cluster === undefined) {
    throw new ClusterAccessError(
      `${source}: context "${current}" names cluster "${context.cluster}", which is not there`,
    );
  }
  const user = users.find((each) => each.name === context.user);
  if (user === undefined) {
    throw new ClusterAccessError(`${source}: context "${current}" names user "${context.user}", which is not there`);
  }
  if (user.impersonateUser !== undefined) {
    throw new ClusterAccessError(`${source}: user "${user.name}" impersonates another ("as"), which is not supported`);
  }
  const config = new KubeConfig();
  config.loadFromOptions({ clusters, users, contexts, currentContext: current });
  return { config, context, cluster, user };
}

async function apply(selected: Selected, source: string): Promise<Reading> {
  const { config, cluster, user } = selected;
  for (const [file, purpose] of [
    [cluster.caFile, `the certificate authority of cluster "${cluster.name}"`],
    [user.certFile, `the client certificate of user "${user.name}"`],
    [user.keyFile, `the client key of user "${user.name}"`],
  ] as const) {
    if (file !== undefined) {
      await readCredentialFile(file, purpose);
    }
  }
  const https: RequestOptions & { servername?: string } = {};
  try {
    await config.applyToHTTPSOptions(https);
  } catch (error) {
    throw new ClusterAccessError(`${source}: no credentials for user "${user.name}": ${credentialProblem(error)}`);
  }
  const headers = https.headers as Record<string, unknown> | undefined;
  const authorization = headers?.Authorization;
  const basic = typeof https.auth === "string" ? `Basic ${Buffer.from(https.auth).toString("base64")}` : undefined;
  const [ca, cert, key] = [pem(https.ca), pem(https.cert), pem(https.key)];
  return {
    tls: {
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(https.servername === undefined ? {} : { servername: https.servername }),
      rejectUnauthorized: !cluster.skipTLSVerify,
    },
    authHeader: typeof authorization === "string" ? authorization.trim() : basic,
  };
}

function pem(value: unknown): string | undefined {
  return Buffer.isBuffer(value) ? value.toString("utf8") : typeof value === "string" ? value : undefined;
}

function serverOf(cluster: Cluster, source: string): string {
  try {
    const url = new URL(cluster.server);
    return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
  } catch {
    throw new ClusterAccessError(`${source}: cluster "${cluster.name}" has no valid server address`);
  }
}

function proxyOf(proxyUrl: string, source: string): string {
  if (!/^https?:\/\//.test(proxyUrl)) {
    throw new ClusterAccessError(`${source}: proxy-url must start with http:// or https://`);
  }
  return proxyUrl;
}

/** What js-yaml or client-node says about a file, without the excerpt of it that js-yaml adds: that may be a token. */
function parseProblem(error: unknown): string {
  const yaml = error as { reason?: unknown; mark?: { line?: unknown } };
  if (typeof yaml.reason === "string") {
    return typeof yaml.mark?.line === "number" ? `${yaml.reason} (line ${yaml.mark.line + 1})` : yaml.reason;
  }
  return error instanceof TypeError ? "it is not a kubeconfig" : error instanceof Error ? error.message : "unreadable";
}

/** An exec plugin's failure. A SyntaxError of JSON.parse quotes what the plugin printed, which may be a token. */
function credentialProblem(error: unknown): string {
  if (error instanceof SyntaxError) {
    return "the exec plugin printed something that is not JSON";
  }
  const code = (error as NodeJS.ErrnoException).code;
  const path = (error as NodeJS.ErrnoException).path;
  if (code === "ENOENT" && path !== undefined) {
    return `the exec plugin ${path} was not found`;
  }
  return error instanceof Error ? error.message.trim().slice(0, 500) : "unknown error";
}

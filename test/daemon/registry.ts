// A container registry with just what a pull needs (github.com/opencontainers/distribution-spec, "Pull"), over plain HTTP. What a reference
// gives is decided by its last path segment, see `BEHAVIOURS`: every tag of every repository exists, but for those that shall not.

import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { makeImage, type Blob, type Image, type ImageRecipe } from "./image.ts";

const PROGRAM = "/workload";

/** Images by the last segment of their repository. `slow` is `sleeper`, pulled slowly. */
export const BEHAVIOURS: Readonly<Record<string, ImageRecipe>> = {
  sleeper: { entrypoint: [PROGRAM], cmd: ["sleep"] },
  slow: { entrypoint: [PROGRAM], cmd: ["sleep"] },
  stubborn: { entrypoint: [PROGRAM], cmd: ["stubborn"] },
  crasher: { entrypoint: [PROGRAM], cmd: ["exit", "3", "50"] },
  oneshot: { entrypoint: [PROGRAM], cmd: ["exit", "0", "50"] },
  web: { entrypoint: [PROGRAM], cmd: ["listen", "80"] },
  hungry: { entrypoint: [PROGRAM], cmd: ["allocate", "64"] },
  nocommand: { entrypoint: ["/nocommand"] },
};

/** How pulls of a repository fail. */
export type PullFailure = 401 | 403 | 404 | 500;

export interface Registry {
  /** What a repository's pulls answer from now on, by the last segment of its name or the whole name; undefined: the image again. */
  fail(repository: string, failure: PullFailure | undefined): void;
  /** How often the manifest of a repository was asked for by tag. */
  pulls(repository: string): number;
  close(): Promise<void>;
}

export interface RegistryOptions {
  /** Where it listens: a unix socket. */
  socket: string;
  layer: Blob;
  /** How long `slow` takes, ms. */
  slowMs: number;
}

/** Starts a registry. `absent` is not found and `private` refused without being told so. */
export async function startRegistry(options: RegistryOptions): Promise<Registry> {
  const images = new Map<string, Image>();
  const failures = new Map<string, PullFailure>([
    ["absent", 404],
    ["private", 401],
  ]);
  const pulled: string[] = [];
  const stopped = new AbortController();

  const image = (repository: string, tag: string): Image | undefined => {
    const recipe = BEHAVIOURS[last(repository)];
    if (recipe === undefined) return undefined;
    const reference = `${repository}:${tag}`;
    const made = images.get(reference) ?? makeImage(options.layer, reference, recipe);
    images.set(reference, made);
    return made;
  };

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = new URL(request.url ?? "/", "http://registry").pathname;
    if (path === "/v2/") return send(response, request, 200);
    const [, repository = "", what, reference = ""] = /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(path) ?? [];
    const failure = failures.get(repository) ?? failures.get(last(repository));
    if (failure !== undefined) {
      const challenge = failure === 401 ? { "www-authenticate": 'Basic realm="registry"' } : {};
      return send(response, request, failure, undefined, challenge);
    }
    if (what === "manifests" && !reference.startsWith("sha256:")) {
      if (request.method === "HEAD") pulled.push(repository);
      return send(response, request, 200, image(repository, reference)?.manifest);
    }
    const blobs = [...images.values()].flatMap(({ manifest, config, layer }) => [manifest, config, layer]);
    const blob = blobs.find(({ digest }) => digest === reference);
    // Its configuration is what two images never share.
    if (last(repository) === "slow" && blob?.mediaType.includes("config")) {
      await delay(options.slowMs, undefined, { signal: stopped.signal });
    }
    return send(response, request, 200, blob);
  };

  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy()); // Stopped meanwhile.
  });
  server.listen(options.socket);
  await once(server, "listening");
  return {
    fail: (repository, failure) => {
      if (failure === undefined) failures.delete(repository);
      else failures.set(repository, failure);
    },
    pulls: (repository) => pulled.filter((each) => each === repository).length,
    close: async () => {
      stopped.abort();
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function last(repository: string): string {
  return repository.slice(repository.lastIndexOf("/") + 1);
}

/** Answers with a content, or 404 where there is none; other statuses get the error form of the specification. */
function send(
  response: ServerResponse,
  request: IncomingMessage,
  status: number,
  blob?: Blob,
  headers: Record<string, string> = {},
): void {
  if (status === 200 && request.url !== "/v2/" && blob === undefined) return send(response, request, 404);
  if (blob !== undefined) {
    response.writeHead(200, {
      "content-type": blob.mediaType,
      "content-length": blob.bytes.length,
      "docker-content-digest": blob.digest,
    });
    response.end(request.method === "HEAD" ? undefined : blob.bytes);
    return undefined;
  }
  const codes: Record<number, string> = { 401: "UNAUTHORIZED", 403: "DENIED", 404: "MANIFEST_UNKNOWN", 500: "UNKNOWN" };
  const code = codes[status];
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(code === undefined ? "{}" : JSON.stringify({ errors: [{ code, message: code.toLowerCase() }] }));
}

// Registries and the images in them, none of which is there. By a word in its last path part or tag an image behaves badly; tests may say how
// an image behaves. Texts: suffixes that mStudio's own client looks for in failures of container-image-config (packages/models of
// mittwald/api-client-js).

import { createHash } from "node:crypto";

export type ImageProblem = "missing" | "platform" | "unreachable" | "noRegistry" | "schema1";

export interface ImageBehaviour {
  problem?: ImageProblem;
  /** It is only to be had with a registry's valid credentials. Default false. */
  private?: boolean;
  entrypoint?: readonly string[];
  command?: readonly string[];
  /** In place of the simulator's time for a pull, ms. */
  pullMs?: number;
  /** The process ends so long after it runs, ms, each time. */
  exit?: { code: number; afterMs: number };
  /** What it writes at its start. */
  output?: readonly string[];
}

export interface Login {
  username: string;
  password: string;
}

const DOCKER_HUB = "index.docker.io";
const EXIT_AFTER_MS = 1000;
const SLOW_MS = 30_000;

const WORDS: Readonly<Record<string, ImageBehaviour>> = {
  absent: { problem: "missing" },
  arm64: { problem: "platform" },
  schema1: { problem: "schema1" },
  private: { private: true },
  crash: { exit: { code: 1, afterMs: EXIT_AFTER_MS } },
  oneshot: { exit: { code: 0, afterMs: EXIT_AFTER_MS } },
  slow: { pullMs: SLOW_MS },
};

export class Images {
  readonly #behaviours = new Map<string, ImageBehaviour>();
  readonly #pushes = new Map<string, number>();
  readonly #logins = new Map<string, Login>();

  /** @param behaviour undefined: what its name says */
  set(image: string, behaviour: ImageBehaviour | undefined): void {
    if (behaviour === undefined) this.#behaviours.delete(plain(image));
    else this.#behaviours.set(plain(image), behaviour);
  }

  /** Somebody pushes another image under the same tag. */
  push(image: string): void {
    this.#pushes.set(plain(image), (this.#pushes.get(plain(image)) ?? 0) + 1);
  }

  /** The only login that a registry takes. Before that it takes all but the password `wrong`. */
  setLogin(host: string, login: Login): void {
    this.#logins.set(host, login);
  }

  behaviour(image: string): ImageBehaviour {
    const words = image.slice(image.lastIndexOf("/") + 1).split(/[-_.:@]/);
    const word = words.find((each) => Object.hasOwn(WORDS, each));
    const standard = { entrypoint: ["/entrypoint.sh"], command: ["serve"] };
    return { ...standard, ...(word === undefined ? {} : WORDS[word]), ...this.#behaviours.get(plain(image)) };
  }

  /** @param kind another one is another number for the same image */
  digest(image: string, kind: "manifest" | "index" = "manifest"): string {
    const text = `${kind} ${plain(image)} ${this.#pushes.get(plain(image)) ?? 0}`;
    return `sha256:${createHash("sha256").update(text).digest("hex")}`;
  }

  /** Whether a registry answers at all. Those under the reserved domain `invalid` do not. */
  hostProblem(host: string): ImageProblem | undefined {
    if (/(^|\.)invalid(:\d+)?$/.test(host)) return "unreachable";
    return host.startsWith("web.") ? "noRegistry" : undefined;
  }

  accepts(host: string, { username, password }: Login): boolean {
    const login = this.#logins.get(host);
    return login === undefined ? password !== "wrong" : login.username === username && login.password === password;
  }

  /**
   * Why an image cannot be pulled; undefined where it can.
   * @param login what the project has stored for its host
   */
  pullProblem(image: string, login: Login | undefined): { status: 403 | 404 | 412; text: string } | undefined {
    const host = hostOf(image);
    const behaviour = this.behaviour(image);
    const problem = this.hostProblem(host) ?? behaviour.problem;
    switch (problem) {
      case "unreachable":
        return { status: 412, text: `registry ${host} is not reachable` };
      case "noRegistry":
        return { status: 412, text: `${host} does not host a registry` };
      case "platform":
        return { status: 412, text: `image ${image} is not available for the 'linux/amd64' platform` };
      case "schema1":
        return { status: 412, text: `image ${image} is unsupported with schema 1 manifest` };
      case "missing":
        return { status: 404, text: `image ${image} does not exist` };
      case undefined:
        return behaviour.private === true && (login === undefined || !this.accepts(host, login))
          ? { status: 403, text: `access to image ${image} denied` }
          : undefined;
      default:
        return problem satisfies never;
    }
  }
}

/** The host that an image's registry is matched by. */
export function hostOf(image: string): string {
  const first = image.split("/")[0] ?? "";
  const named = image.includes("/") && (/[.:]/.test(first) || first === "localhost");
  return named && first !== "docker.io" ? first : DOCKER_HUB;
}

/** An image as answers show it: official ones under `library/`. */
export function withLibrary(image: string): string {
  return image.includes("/") ? image : `library/${image}`;
}

function plain(image: string): string {
  return image.replace(/^library\//, "");
}

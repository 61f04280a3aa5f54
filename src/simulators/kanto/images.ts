// What an image does when it is pulled and run. A simulator has no registry and no processes: the behaviour is configured per reference, or
// follows from the last word of the repository path (`…/crasher:1` crashes), and a configured `cmd` can change it. The words, the commands
// and the pull failures are described in docs/simulators.md.

/** How the first process of a container behaves. */
export interface ProcessBehaviour {
  /** Ends by itself after this many ms; absent: runs until stopped. */
  runMs?: number;
  /** Exit code of ending by itself; default 0. */
  exitCode?: number;
  /** Ended by the kernel for want of memory. */
  oom?: boolean;
  /** What it does on SIGTERM and other catchable signals: end with this code (default 0), or `"ignore"`. */
  onSignal?: number | "ignore";
  /** The command is not in the image: the start fails in runc. */
  missingCommand?: string;
}

/** Why a pull fails; an `error` gives containerd's words behind `failed to resolve reference "…": ` verbatim. */
export type PullFailure = "not-found" | "denied" | "refused" | "dns" | "plain-http" | { error: string };

export interface ImageBehaviour extends ProcessBehaviour {
  /** Duration of a successful pull in ms, while nothing can be seen of it; default: the device's `pullMs`. */
  pullMs?: number;
  pullFailure?: PullFailure;
}

/** Behaviours by the last word of the repository path, up to a `-` (`crasher`, `crasher-slow` are the same word). */
const BY_WORD: Readonly<Record<string, ImageBehaviour>> = {
  sleeper: { onSignal: 0 },
  web: { onSignal: 0 },
  stubborn: { onSignal: "ignore" },
  crasher: { runMs: 1000, exitCode: 3, onSignal: 143 },
  oneshot: { runMs: 30, exitCode: 0, onSignal: 143 },
  oom: { runMs: 1000, exitCode: 137, oom: true, onSignal: 143 },
  nocommand: { missingCommand: "/entrypoint" },
  absent: { pullFailure: "not-found" },
  private: { pullFailure: "denied" },
};

/** An exact reference, or a repository without tag and digest, to its behaviour. */
export type ImageTable = Readonly<Record<string, ImageBehaviour>>;

/** Splits a reference into host, repository path and tag or digest (with its separator, `:1` or `@sha256:…`); containerd's reference/reference.go. */
export function splitReference(reference: string): { host: string; path: string; object: string } {
  const slash = reference.indexOf("/");
  const host = slash < 0 ? reference : reference.slice(0, slash);
  const rest = slash < 0 ? "" : reference.slice(slash + 1);
  const end = rest.search(/[:@]/);
  return { host, path: end < 0 ? rest : rest.slice(0, end), object: end < 0 ? "" : rest.slice(end) };
}

/** What this image does: the configured behaviour over the one its name suggests. */
export function imageBehaviour(reference: string, table: ImageTable): ImageBehaviour {
  const { host, path } = splitReference(reference);
  const word = path.split("/").at(-1)?.split("-")[0] ?? "";
  return { onSignal: 0, ...BY_WORD[word], ...table[`${host}/${path}`], ...table[reference] };
}

/** The error of a pull, in containerd's words; undefined when the reference can be pulled. */
export function pullError(reference: string, behaviour: ImageBehaviour): string | undefined {
  const reason =
    unusable(reference) ??
    (behaviour.pullFailure === undefined ? undefined : failureText(reference, behaviour.pullFailure));
  return reason === undefined ? undefined : `failed to resolve reference "${reference}": ${reason}`;
}

/** A reference that containerd cannot even try: there is no docker.io default and no `latest`. */
function unusable(reference: string): string | undefined {
  const { host, path, object } = splitReference(reference);
  if (path === "" && /:[^\d]/.test(host)) {
    return `parse "dummy://${reference}": invalid port ":${host.slice(host.indexOf(":") + 1)}" after host`;
  }
  if (object === "") {
    return "object required";
  }
  const isHost = host.includes(".") || host.includes(":") || host === "localhost";
  return isHost && !host.endsWith(".invalid") ? undefined : failureText(reference, "dns");
}

function failureText(reference: string, failure: PullFailure): string {
  if (typeof failure === "object") {
    return failure.error;
  }
  const { host, path, object } = splitReference(reference);
  const digest = object.startsWith(":") ? object.slice(1) : object.slice(1).replace(/^[^@]*@/, "");
  const head = (scheme: string): string =>
    `failed to do request: Head "${scheme}://${host}/v2/${path}/manifests/${digest}"`;
  switch (failure) {
    case "not-found":
      return `${reference}: not found`;
    case "denied":
      return "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed";
    case "refused":
      return `${head("https")}: dial tcp ${host.includes(":") ? host : `${host}:443`}: connect: connection refused`;
    case "dns":
      return `${head("https")}: dial tcp: lookup ${host.replace(/:\d+$/, "")} on 127.0.0.53:53: no such host`;
    case "plain-http":
      return `${head("https")}: http: server gave HTTP response to HTTPS client`;
    default:
      return failure satisfies never;
  }
}

/**
 * What runs when `cmd` replaces the image's own command. Understood are `sleep N`, `true`, `false` and `sh -c` scripts made of
 * `sleep N`, `exit N` and `trap … TERM`; a command whose base name is `nope` or begins with `missing` is not in any image; anything else
 * behaves as the image itself does.
 */
export function withCommand(behaviour: ImageBehaviour, cmd: readonly string[]): ProcessBehaviour {
  const program = cmd[0];
  if (program === undefined) {
    return behaviour;
  }
  const base = program.split("/").at(-1) ?? "";
  if (base === "nope" || base.startsWith("missing")) {
    return { missingCommand: program };
  }
  // The kernel drops signals without a handler for the first process of a namespace, so a bare sleep or shell survives SIGTERM.
  const plain: ProcessBehaviour = { onSignal: "ignore" };
  switch (base) {
    case "true":
      return { ...plain, runMs: 0 };
    case "false":
      return { ...plain, runMs: 0, exitCode: 1 };
    case "sleep":
      return { ...plain, ...sleepFor(cmd[1]) };
    case "sh":
    case "ash":
    case "bash":
      return cmd[1] === "-c" && cmd[2] !== undefined ? script(cmd[2]) : plain;
    default:
      return behaviour;
  }
}

function sleepFor(argument: string | undefined): { runMs?: number } {
  const seconds = Number(argument);
  return argument === undefined || Number.isNaN(seconds) ? {} : { runMs: seconds * 1000 };
}

function script(source: string): ProcessBehaviour {
  const result: ProcessBehaviour = { onSignal: "ignore", runMs: 0, exitCode: 0 };
  for (const statement of source.split(/[;\n]|&&/).map((part) => part.trim())) {
    const [word = "", argument] = statement.split(/\s+/);
    if (word === "sleep") {
      const { runMs } = sleepFor(argument);
      if (runMs === undefined) {
        return { onSignal: result.onSignal ?? "ignore" };
      }
      result.runMs = (result.runMs ?? 0) + runMs;
    } else if (word === "exit") {
      return { ...result, exitCode: Number(argument ?? 0) || 0 };
    } else if (word === "trap") {
      result.onSignal = Number(/exit\s+(\d+)/.exec(statement)?.[1] ?? 0);
    } else if (word === "while" || word === "until") {
      return { onSignal: result.onSignal ?? "ignore" };
    }
  }
  return result;
}

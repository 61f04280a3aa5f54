/**
 * A device as a model, for properties of plan(): it carries out every step at once and truthfully, restarts processes by
 * policy, and can be left in any state. Its planner is a small one with one field of each effect, so that a counterexample is
 * easy to read; the real planners are held to the same properties in test/unit/backends.
 */
import type {
  CommandAction,
  DesiredContainer,
  Difference,
  Marker,
  ObservedContainer,
  Planner,
} from "../../../src/backends/contract.ts";

export interface ModelConfig {
  image: string;
  args: string;
  policy: string;
}

/** Fields by effect: image and args need a new container, restartPolicy.type is changed in place, name is renamed. */
export const modelPlanner: Planner = {
  type: "kanto",
  capabilities: [],
  coexistence: true,
  restartsByItself: true,
  nameConflicts: true,
  exposesEnv: true,
  validate: () => [],
  paths: () => ["image"],
  diff: (desired, observed) => {
    const is = observed.config as ModelConfig;
    const want = configOf(desired);
    const found: Difference[] = [];
    const add = (path: string, wanted: string, seen: string, effect: Difference["effect"]) => {
      if (wanted !== seen) found.push({ path, desired: wanted, observed: seen, effect });
    };
    add("image", want.image, is.image, "Recreate");
    add("args", want.args, is.args, "Recreate");
    const held = desired.state === "Stopped" && is.policy === "No";
    if (!held) add("restartPolicy.type", want.policy, is.policy, "Update");
    add("name", desired.name, observed.name, "Rename");
    return found;
  },
  identity: (desired) => [desired.image, desired.spec.args ?? []],
  update: (desired, observed) => ({
    kind: "Update",
    externalId: observed.externalId,
    payload: configOf(desired).policy,
    paths: ["restartPolicy.type"],
  }),
  stop: (observed) => {
    const { policy } = observed.config as ModelConfig;
    if (observed.state === "Created" || observed.state === "Stopped") return undefined;
    if (observed.state === "Exited" && policy === "No") return undefined;
    if (policy !== "No") return { kind: "Update", externalId: observed.externalId, payload: "No", paths: [] };
    return { kind: "Stop", externalId: observed.externalId, signal: "SIGTERM", timeoutSeconds: 30, force: true };
  },
  remove: (observed) => {
    const { policy } = observed.config as ModelConfig;
    return policy === "No"
      ? { kind: "Remove", externalId: observed.externalId }
      : { kind: "Update", externalId: observed.externalId, payload: "No", paths: [] };
  },
  restarts: (desired, observed) =>
    configOf(desired).policy === "Always" ||
    (configOf(desired).policy === "OnFailure" && (observed.exitCode ?? 0) !== 0),
  policies: {
    save: (observed) => (observed.config as ModelConfig).policy,
    restore: (observed, saved) =>
      (observed.config as ModelConfig).policy === saved
        ? undefined
        : { kind: "Update", externalId: observed.externalId, payload: saved, paths: [] },
  },
};

/** Always also undoes a stop by command; OnFailure looks at the exit code. */
function wouldRestart({ config, exitCode, state }: ObservedContainer): boolean {
  const { policy } = config as ModelConfig;
  return policy === "Always" || (policy === "OnFailure" && state === "Exited" && exitCode !== 0);
}

function configOf(desired: DesiredContainer): ModelConfig {
  return {
    image: desired.image,
    args: (desired.spec.args ?? []).join(" "),
    policy: desired.spec.restartPolicy?.type ?? "Always",
  };
}

/** Images by what their process does; all others run until they are stopped. */
const CRASHES = /crash/;
const NEVER_STARTS = /nostart/;

/** The device: containers by id, changed only by `apply`, by the passing of time and by the test. */
export class ModelDevice {
  readonly containers = new Map<string, ObservedContainer>();
  /** Wall clock, ms. */
  nowMs = 1_000_000;
  #nextId = 1;
  #time = 0;
  /** Ids of all containers that were ever touched by a command. */
  readonly touched = new Set<string>();
  creates = 0;

  list(): ObservedContainer[] {
    return [...this.containers.values()];
  }

  /** Puts a container there as a human, or a former life of ours, would. */
  put(container: Omit<ObservedContainer, "externalId" | "runs" | "stateSinceMs" | "hostPorts">): string {
    const externalId = `c${this.#nextId++}`;
    const runs = container.startedAt === undefined ? [] : [{ startedAt: container.startedAt }];
    this.containers.set(externalId, { ...container, externalId, runs, stateSinceMs: this.nowMs, hostPorts: [] });
    return externalId;
  }

  /** Time passes: what crashes ends, and what ended is started again by its policy. */
  tick(ms: number): void {
    this.nowMs += ms;
    for (const container of this.list())
      if (container.state === "Running" && CRASHES.test(container.image)) this.#end(container, "Exited", 1);
      else if (container.state === "Exited" && wouldRestart(container)) this.#run(container);
  }

  /** Power off and on: what a policy holds down stays down. */
  reboot(): void {
    for (const container of this.list()) {
      const { policy } = container.config as ModelConfig;
      if (container.state === "Running" || container.state === "Paused") this.#end(container, "Stopped", 137);
      if (container.startedAt !== undefined && policy === "Always") this.#run(container);
    }
  }

  #run(container: ObservedContainer): void {
    const { exitCode: _code, finishedAt: _end, error: _error, ...rest } = container;
    const startedAt = this.#now();
    const runs = [...container.runs, { startedAt }].slice(-20);
    this.#set({ ...rest, state: "Running", startedAt, runs });
  }

  #end(container: ObservedContainer, state: "Stopped" | "Exited", exitCode: number): void {
    const finishedAt = this.#now();
    const runs = container.runs.map((run) =>
      run.finishedAt === undefined
        ? { ...run, finishedAt, exitCode, ...(state === "Stopped" && { stopped: true }) }
        : run,
    );
    this.#set({ ...container, state, finishedAt, exitCode, runs });
  }

  #set(container: ObservedContainer): void {
    const before = this.containers.get(container.externalId);
    const same = before?.state === container.state && before.startedAt === container.startedAt;
    this.containers.set(container.externalId, {
      ...container,
      stateSinceMs: same ? before.stateSinceMs : this.nowMs,
    });
  }

  create(desired: DesiredContainer, marker: Marker): string {
    this.creates++;
    const createdAt = this.#now();
    return this.put({
      name: desired.name,
      image: desired.image,
      marker,
      state: "Created",
      createdAt,
      config: configOf(desired),
    });
  }

  /** Carries out one command. Throws if it makes no sense: a plan must never ask for it. Answers why it failed, if it did. */
  apply(action: CommandAction): string | undefined {
    if (action.kind === "Create") throw new Error("creates go through create()");
    const container = this.containers.get(action.externalId);
    if (container === undefined) throw new Error(`${action.kind} of a container that is not there`);
    this.touched.add(action.externalId);
    const set = (change: Partial<ObservedContainer>) =>
      this.containers.set(action.externalId, { ...container, ...change });
    switch (action.kind) {
      case "Start":
        if (container.state === "Running" || container.state === "Paused") throw new Error("already running");
        if (NEVER_STARTS.test(container.image)) {
          set({ state: "Stopped", error: "no such file" });
          return "no such file";
        }
        this.#run(container);
        return undefined;
      case "Stop":
        if (container.state !== "Running" && container.state !== "Paused") throw new Error("not running");
        this.#end(container, "Stopped", 143);
        return undefined;
      case "Pause":
        if (container.state !== "Running") throw new Error("not running");
        set({ state: "Paused" });
        return undefined;
      case "Resume":
        if (container.state !== "Paused") throw new Error("not paused");
        set({ state: "Running" });
        return undefined;
      case "Rename":
        set({ name: action.name });
        return undefined;
      case "Update": {
        const config = { ...(container.config as ModelConfig), policy: String(action.payload) };
        // As on a real device: a policy that restarts starts what has ended.
        const changed = { ...container, config };
        set({ config });
        const ended = container.state === "Stopped" || container.state === "Exited";
        if (ended && container.startedAt !== undefined && wouldRestart(changed)) this.#run(changed);
        return undefined;
      }
      case "Remove":
        this.containers.delete(action.externalId);
        return undefined;
      default:
        return action satisfies never;
    }
  }

  #now(): string {
    return new Date(++this.#time * 1000).toISOString();
  }
}

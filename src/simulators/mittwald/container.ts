// One container: what is declared of it, what is deployed, and its life. A change of the declaration alone does nothing to what runs; it sets
// `requiresRecreate`. States and transitions: the OpenAPI document, recordings, and mittwald's own clients; what they leave open is in Quirks.

import type { Clock, Timer } from "../clock.ts";
import { ALREADY, READY, unmet } from "./answers.ts";
import { differs, shown, type Declared } from "./declared.ts";
import { hostOf, type Images, type Login } from "./images.ts";
import type { Actor, EffectKind, Quirks, ServiceBody, ServiceState, ServiceStatus } from "./types.ts";

/** What a container needs of the platform it is on. */
export interface Surroundings {
  clock: Clock;
  images: Images;
  quirks: Quirks;
  times: { pullMs: number; startMs: number; stopMs: number; pullRetryMs: number };
  /** The project's login at a registry. */
  login(host: string): Login | undefined;
  /** It is not what it was. */
  changed(container: Container): void;
  effect(container: Container, kind: EffectKind, by: Actor, downtime: boolean): void;
}

export interface Identity {
  id: string;
  shortId: string;
  stackId: string;
  projectId: string;
  serviceName: string;
}

export class Container {
  readonly identity: Identity;
  declared: Declared;
  status: ServiceStatus = "creating";
  readonly log: string[] = [];
  readonly #around: Surroundings;
  #deployed: { declared: Declared; state: ServiceState } | undefined;
  #statusSetAtMs: number;
  #message = "Container is being created";
  /** Digest that a pull has fetched for what is declared. */
  #pulled: { image: string; digest: string } | undefined;
  #timer: Timer | undefined;
  #gone = false;

  constructor(identity: Identity, declared: Declared, around: Surroundings) {
    this.identity = identity;
    this.declared = declared;
    this.#around = around;
    this.#statusSetAtMs = around.clock.now();
  }

  /** It begins to be made. */
  create(by: Actor): void {
    this.#around.effect(this, "created", by, false);
    this.#fetch("creating");
  }

  /** Another declaration. What has never run begins anew with it. */
  declare(declared: Declared, by: Actor): void {
    const isSame = !differs(declared, this.declared) && declared.description === this.declared.description;
    this.declared = declared;
    if (isSame) return;
    this.#around.effect(this, "edited", by, false);
    if (this.#deployed === undefined && this.status !== "stopped" && this.status !== "stopping")
      this.#fetch("creating");
    else this.#around.changed(this);
  }

  /** Whether it has ever been made. */
  get isDeployed(): boolean {
    return this.#deployed !== undefined;
  }

  get requiresRecreate(): boolean {
    if (this.#deployed === undefined) return false;
    return (
      differs(this.declared, this.#deployed.declared) ||
      this.#pending().imageDigest !== this.#deployed.state.imageDigest
    );
  }

  /** @throws Refusal when it is not stopped */
  start(by: Actor): void {
    const { id } = this.identity;
    if (this.status !== "stopped")
      throw unmet(this.status === "running" ? ALREADY.start(id) : `cannot start service ${id}, it is ${this.status}`);
    this.#around.effect(this, "started", by, false);
    this.#soon(() => this.#run());
  }

  /** @throws Refusal when it is stopped */
  stop(by: Actor): void {
    if (this.status === "stopped") throw unmet(ALREADY.stop(this.identity.id));
    this.#around.effect(this, "stopped", by, this.status === "running");
    this.#soon(() => {
      this.#set("stopping", "Container is stopping");
      this.#after(this.#around.times.stopMs, () => this.#set("stopped", "Container is stopped"));
    });
  }

  /** What is deployed starts anew; what is declared since does not count. @throws Refusal when it neither runs nor has failed */
  restart(by: Actor): void {
    if (this.status !== "running" && this.status !== "error") throw unmet(ALREADY.restart(this.identity.id));
    this.#around.effect(this, "restarted", by, this.status === "running");
    this.#soon(() => this.#run());
  }

  /** A new container by what is declared. */
  recreate(by: Actor): void {
    if (this.#isKeptStopped()) return;
    this.#around.effect(this, "recreated", by, this.status === "running");
    this.#soon(() => this.#fetch(this.#deployed === undefined ? "creating" : "starting"));
  }

  /**
   * Fetches the newest image of its tag.
   * @param skipRecreate leave the container as it is
   * @throws Refusal when there is no such image, or none for us
   */
  pull(by: Actor, skipRecreate: boolean): void {
    const { images } = this.#around;
    const { image } = this.declared;
    const problem = images.pullProblem(image, this.#around.login(hostOf(image)));
    if (problem !== undefined) throw unmet(`cannot pull image for service ${this.identity.id}: ${problem.text}`);
    this.#around.effect(this, "pulled", by, false);
    this.#pulled = { image, digest: images.digest(image) };
    if (skipRecreate) this.#around.changed(this);
    else this.recreate(by);
  }

  /** Whether its tag has another image than what is deployed. */
  get isOutdated(): boolean {
    return (
      this.#deployed !== undefined &&
      this.#around.images.digest(this.declared.image) !== this.#deployed.state.imageDigest
    );
  }

  /** It is no more. */
  remove(by: Actor): void {
    this.#gone = true;
    this.#around.clock.clearTimeout(this.#timer);
    this.#around.effect(this, "removed", by, this.status === "running");
  }

  /** Its process ends. */
  exit(code: number): void {
    const { quirks } = this.#around;
    const policy = this.#deployed?.declared.restartPolicy ?? "always";
    this.#around.effect(this, "exited", "vendor", this.status === "running");
    this.write(`process exited with code ${code}`);
    if (policy === "always" || (policy !== "no" && code !== 0)) this.#run();
    else if (code === 0) this.#set(quirks.exited, "Container has exited with code 0");
    else this.#set("error", `Container has exited with code ${code}`);
  }

  /** A line of its log. */
  write(line: string): void {
    this.log.push(line);
    this.log.splice(0, Math.max(0, this.log.length - this.#around.quirks.logLines));
  }

  body(): ServiceBody {
    const { deploy, restartPolicy, description } = this.declared;
    const { quirks } = this.#around;
    const pendingState = this.#pending();
    return {
      ...this.identity,
      description,
      status: this.status,
      statusSetAt: new Date(
        this.#statusSetAtMs - (quirks.statusSeconds ? this.#statusSetAtMs % 1000 : 0),
      ).toISOString(),
      message: this.#message,
      requiresRecreate: this.requiresRecreate,
      pendingState,
      deployedState: this.#deployed?.state ?? { image: pendingState.image },
      ...(deploy !== undefined && { deploy }),
      restartPolicy,
    };
  }

  #isKeptStopped(): boolean {
    return !this.#around.quirks.recreateStarts && this.status === "stopped";
  }

  #pending(): ServiceState {
    const { images, quirks } = this.#around;
    const { image } = this.declared;
    const deployed = this.#deployed;
    const isSameImage = deployed !== undefined && deployed.declared.image === image;
    const digest =
      this.#pulled?.image === image ? this.#pulled.digest : isSameImage ? deployed.state.imageDigest : undefined;
    const known = images.pullProblem(image, this.#around.login(hostOf(image))) === undefined;
    return shown(this.declared, isSameImage || known ? images.behaviour(image) : {}, digest, quirks);
  }

  /** Pulls what is missing, then runs it. What ran before runs no more. */
  #fetch(status: "creating" | "starting"): void {
    const { images, times, quirks } = this.#around;
    this.#set(status, status === "creating" ? "Container is being created" : "Container is being recreated");
    const attempt = (): void => {
      const { declared } = this;
      const { image } = declared;
      const problem = this.#isHere() ? undefined : images.pullProblem(image, this.#around.login(hostOf(image)));
      if (problem !== undefined) {
        const message = `ImagePullBackOff: ${problem.text}`;
        if (message !== this.#message) this.#set(quirks.pullFailure === "error" ? "error" : status, message);
        this.#after(times.pullRetryMs, attempt);
        return;
      }
      const digest = this.#pulled?.image === image ? this.#pulled.digest : images.digest(image);
      this.#pulled = { image, digest };
      this.#deployed = { declared, state: shown(declared, images.behaviour(image), digest, quirks) };
      this.#run();
    };
    this.#after(this.#isHere() ? 0 : (images.behaviour(this.declared.image).pullMs ?? times.pullMs), attempt);
  }

  /** Whether the image that is declared has been pulled. */
  #isHere(): boolean {
    return this.#pulled?.image === this.declared.image;
  }

  /** What is deployed starts. */
  #run(): void {
    if (this.#deployed === undefined) {
      this.#fetch("creating");
      return;
    }
    const { exit, output } = this.#around.images.behaviour(this.#deployed.declared.image);
    this.#set("starting", "Container is starting");
    this.#after(this.#around.times.startMs, () => {
      for (const line of output ?? ["started"]) this.write(line);
      this.#set("running", READY);
      if (exit !== undefined) this.#after(exit.afterMs, () => this.exit(exit.code));
    });
  }

  #set(status: ServiceStatus, message: string): void {
    this.#around.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    if (status === this.status && message === this.#message) {
      this.#around.changed(this);
      return;
    }
    if (status !== this.status) this.#statusSetAtMs = this.#around.clock.now();
    this.status = status;
    this.#message = message;
    this.#around.changed(this);
  }

  /** At once, or after the quirk's lag. */
  #soon(run: () => void): void {
    const { actionLagMs } = this.#around.quirks;
    if (actionLagMs <= 0) run();
    else this.#after(actionLagMs, run);
  }

  #after(ms: number, run: () => void): void {
    this.#around.clock.clearTimeout(this.#timer);
    this.#timer = this.#around.clock.setTimeout(() => {
      if (!this.#gone) run();
    }, ms);
  }
}

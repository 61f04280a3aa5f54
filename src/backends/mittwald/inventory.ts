/** What is known of a stack: its newest view, and what of its services the vendor does not tell but this process has seen or asked. */
import type { BackendClock, Claim, DeviceSnapshot, Marker, ObservedContainer, ObservedVolume } from "../contract.ts";
import { oneLine } from "../http/text.ts";
import type { Expected } from "./look.ts";
import { TagWatch, type TagLook } from "./images.ts";
import { readMarker } from "./marker.ts";
import { canonicalImage, isPinned, mountSource } from "./normalise.ts";
import { History, isTransitional, stateOf } from "./states.ts";
import type { ImageConfig, Service, Stack } from "./types.ts";
import { canonical, declaredSettings, FIELDS, type MittwaldConfig } from "./wire.ts";

/** Images whose own settings are remembered. */
const MOST_IMAGES = 200;
/** So long after our last command to a service it is looked at no more often for being on its way: one that crashes is so for ever, ms. */
const EXPECTANT_MS = 600_000;

type Others = NonNullable<DeviceSnapshot["others"]>;

export class Inventory {
  readonly #clock: BackendClock;
  readonly #stuckAfterMs: number;
  readonly #history = new History();
  readonly #tags: TagWatch;
  readonly #claims = new Map<string, Claim>();
  /** Marks that services have carried, by id: a description can be edited by hand. */
  readonly #marks = new Map<string, Marker>();
  readonly #images = new Map<string, ImageConfig>();
  /** What the vendor has filled in after a field was given back to the image, by service. */
  readonly #filled = new Map<string, { image: string; entrypoint?: readonly string[]; command?: readonly string[] }>();
  /** What was declared when we last had a service made anew; "" where that is not what is declared now. */
  readonly #rolled = new Map<string, string>();
  /** Stopped services that a recreate has left as they are. */
  readonly #unmoved = new Set<string>();
  #stack: Stack | undefined;
  #others: Others = [];

  constructor(clock: BackendClock, stuckAfterMs: number) {
    this.#clock = clock;
    this.#stuckAfterMs = stuckAfterMs;
    this.#tags = new TagWatch(clock);
  }

  get stack(): Stack | undefined {
    return this.#stack;
  }

  /** Something of ours is on its way. */
  get isExpectant(): boolean {
    const now = this.#clock.now();
    return (this.#stack?.services ?? []).some(
      (service) =>
        isTransitional(service) &&
        this.#markOf(service) !== undefined &&
        now - (this.#history.of(service.id)?.expectedSinceMs ?? now) < EXPECTANT_MS,
    );
  }

  claim(claim: Claim): void {
    this.#claims.set(`${claim.owner}/${claim.namespace}/${claim.name}`, claim);
  }

  /** Takes over a view, but for services of which it is older than what is known. @returns those that are not as they were. */
  take(view: Stack): { externalId: string; marker: Marker | undefined }[] {
    const before = new Map((this.#stack?.services ?? []).map((service) => [service.id, service]));
    const now = this.#clock.now();
    const news = new Set<string>();
    const newest = (service: Service): Service => {
      const isOlder = this.#history.isOlder(service, now);
      if (this.#history.note(service, now)) news.add(service.id);
      return isOlder ? (before.get(service.id) ?? service) : service;
    };
    const stack: Stack = { ...view, services: view.services.map(newest) };
    const gone = new Map(before);
    const changed: { externalId: string; marker: Marker | undefined }[] = [];
    for (const service of stack.services) {
      gone.delete(service.id);
      if (service.status !== "stopped") this.#unmoved.delete(service.id);
      const mark = readMarker(service.description, service.serviceName);
      if (mark !== undefined) this.#marks.set(service.id, mark);
      if (news.has(service.id) || JSON.stringify(before.get(service.id)) !== JSON.stringify(service))
        changed.push({ externalId: service.id, marker: this.#markOf(service) });
    }
    for (const service of gone.values()) changed.push({ externalId: service.id, marker: this.#markOf(service) });
    this.#stack = stack;
    this.#compareTags();
    this.#forget(new Set(stack.services.map(({ id }) => id)));
    return changed;
  }

  /**
   * What the project has beside this stack, and nobody here has declared.
   *
   * @param isManaged whether a stack is another EdgeDevice's.
   * @returns whether it is news.
   */
  takeOthers(stacks: readonly Stack[], isManaged: (stackId: string) => boolean): boolean {
    const own = this.#stack;
    const mounted = new Set(
      (own?.services ?? [])
        .filter((service) => this.#markOf(service) !== undefined)
        .flatMap((service) => mountsOf(service).map(mountSource)),
    );
    const others: Others = [
      ...stacks
        .filter(({ id }) => id !== own?.id && !isManaged(id))
        .map(({ id, description }) => ({ externalId: id, name: oneLine(description), kind: "Stack" as const })),
      ...(own?.volumes ?? [])
        .filter(({ name }) => !mounted.has(name))
        .map(({ id, name }) => ({ externalId: id, name: oneLine(name), kind: "Volume" as const })),
    ];
    const isNews = JSON.stringify(others) !== JSON.stringify(this.#others);
    this.#others = others;
    return isNews;
  }

  get others(): Others {
    return this.#others;
  }

  get volumes(): ObservedVolume[] {
    const { services = [], volumes = [] } = this.#stack ?? {};
    const mounted = new Set(services.flatMap((service) => mountsOf(service).map(mountSource)));
    return volumes.map(({ id, name, linkedServices }) => ({
      externalId: id,
      name,
      isUsed: mounted.has(name) || (linkedServices ?? []).length > 0,
    }));
  }

  get containers(): ObservedContainer[] {
    return (this.#stack?.services ?? []).map((service) => this.#seen(service));
  }

  /** What a command about this service goes by. */
  expected(externalId: string): Expected | undefined {
    const service = this.#stack?.services.find(({ id }) => id === externalId);
    if (service === undefined) return undefined;
    const claim = [...this.#claims.values()].find(
      ({ recordedId, containerName }) => recordedId === externalId && containerName === service.serviceName,
    );
    return {
      name: service.serviceName,
      marker: this.#markOf(service),
      adopter:
        claim === undefined
          ? undefined
          : { owner: claim.owner, namespace: claim.namespace, name: claim.name, uid: "", operation: "", hash: "" },
    };
  }

  stateAgeMs(serviceId: string): number {
    return this.#clock.now() - (this.#history.of(serviceId)?.sinceMs ?? 0);
  }

  ordered(serviceId: string, isStop: boolean): void {
    this.#history.ordered(serviceId, isStop, this.#clock.now());
  }

  /** The vendor has not taken it. */
  notOrdered(serviceId: string): void {
    this.#history.notOrdered(serviceId);
  }

  /** A recreate does not start it. */
  noteUnmoved(serviceId: string): void {
    this.#unmoved.add(serviceId);
  }

  /** What is declared of it now is on its way. */
  noteRolled(service: Service): void {
    this.#rolled.set(service.id, declarationOf(service));
  }

  /** We have declared something else: what may be on its way is not that. */
  noteDeclared(serviceId: string): void {
    if (!this.#rolled.has(serviceId)) this.#rolled.set(serviceId, "");
  }

  noteDefaults(service: Service, fields: readonly ("entrypoint" | "command")[]): void {
    const { image, entrypoint = [], command = [] } = service.pendingState;
    const known = this.#filled.get(service.id);
    this.#filled.set(service.id, {
      ...(known?.image === image && known),
      image,
      ...(fields.includes("entrypoint") && { entrypoint }),
      ...(fields.includes("command") && { command }),
    });
  }

  notePulled(serviceId: string, latest: string, deployed: string | undefined): void {
    this.#tags.pulled(serviceId, latest, deployed);
  }

  /** Takes what a look at a tag gave. @returns whether it means something new. */
  noteImage(image: string, { verdict, nextAt }: TagLook): boolean {
    const key = canonicalImage(image);
    if (verdict?.known === true) {
      this.#images.delete(key);
      this.#images.set(key, verdict.config);
      const [oldest] = this.#images.keys();
      if (this.#images.size > MOST_IMAGES && oldest !== undefined) this.#images.delete(oldest);
    }
    const isNews = this.#tags.note(key, verdict, nextAt);
    this.#compareTags();
    return isNews;
  }

  #compareTags(): void {
    for (const { id, status, requiresRecreate, pendingState, deployedState } of this.#stack?.services ?? [])
      if (status === "running" && !requiresRecreate && pendingState.image === deployedState?.image)
        this.#tags.see(canonicalImage(pendingState.image), id, deployedState.imageDigest);
  }

  /** Tags that are to be looked up now. */
  get dueImages(): string[] {
    const ids = new Map((this.#stack?.services ?? []).map((service) => [service.id, service]));
    const watched = [...this.#claims.values()].flatMap(({ watchedImage, recordedId }) =>
      watchedImage === undefined || recordedId === undefined || !ids.has(recordedId) || isPinned(watchedImage)
        ? []
        : [canonicalImage(watchedImage)],
    );
    return this.#tags.due(watched);
  }

  latestDigest(service: Service): string | undefined {
    return this.#tags.latest(
      canonicalImage(service.pendingState.image),
      service.id,
      service.deployedState?.imageDigest,
    );
  }

  /** What it says; where that says nothing, what is recorded of it, and what this process has seen. */
  #markOf(service: Service): Marker | undefined {
    const { id, description, serviceName } = service;
    return readMarker(description, serviceName) ?? this.#recordedMark(service) ?? this.#marks.get(id);
  }

  /** Id and name are those of a service that carried an object's mark: only the description is another now. */
  #recordedMark({ id, serviceName }: Service): Marker | undefined {
    for (const { recordedId, isRecordedMarked, containerName, owner, namespace, name } of this.#claims.values())
      if (isRecordedMarked === true && recordedId === id && containerName === serviceName)
        return { owner, namespace, name, uid: "", operation: "", hash: "" };
    return undefined;
  }

  #forget(ids: ReadonlySet<string>): void {
    this.#history.keep(ids);
    this.#tags.keep(ids);
    for (const known of [this.#marks, this.#filled, this.#rolled])
      for (const id of known.keys()) if (!ids.has(id)) known.delete(id);
    for (const [key, { recordedId, operation }] of this.#claims)
      if (operation === undefined && (recordedId === undefined || !ids.has(recordedId))) this.#claims.delete(key);
  }

  #seen(service: Service): ObservedContainer {
    const { id, serviceName, pendingState, deployedState } = service;
    const marker = this.#markOf(service);
    const isMarkLost = marker !== undefined && readMarker(service.description, serviceName) === undefined;
    const defaults = this.#defaultsOf(service);
    const imageDigest = deployedState?.imageDigest;
    const latestDigest = this.#tags.news(canonicalImage(pendingState.image), id, imageDigest);
    const rolled = this.#rolled.get(id);
    const sinceMs = this.#history.of(id)?.sinceMs ?? this.#clock.now();
    const isOutrun =
      isTransitional(service) &&
      ((rolled !== undefined && rolled !== declarationOf(service)) || this.#clock.now() - sinceMs > this.#stuckAfterMs);
    const config: MittwaldConfig = {
      service,
      ...(isOutrun && { isOutrun }),
      ...(this.#unmoved.has(id) && { isUnmoved: true }),
      ...(latestDigest !== undefined && { latestDigest }),
      ...(isMarkLost && { isMarkLost }),
      ...(defaults !== undefined && { defaults }),
    };
    return {
      externalId: id,
      name: serviceName,
      image: pendingState.image,
      ...(imageDigest !== undefined && { imageDigest }),
      ...(marker !== undefined && { marker }),
      ...stateOf(service, this.#history.of(id), this.#clock.now(), this.#stuckAfterMs),
      // Each service has its own address: nobody else can hold a port of it.
      hostPorts: [],
      config,
    };
  }

  /** Of what is known to be the image's own, that which the vendor shows; else whatever is known. */
  #defaultsOf(service: Service): MittwaldConfig["defaults"] {
    const { pendingState } = service;
    const filled = this.#filled.get(service.id);
    const image = this.#images.get(canonicalImage(pendingState.image));
    if (image === undefined && filled?.image !== pendingState.image) return undefined;
    const pick = (field: "entrypoint" | "command"): readonly string[] | undefined => {
      const noted = filled?.image === pendingState.image ? filled[field] : undefined;
      const own = image === undefined ? undefined : (image[field] ?? []);
      const shown = JSON.stringify(pendingState[field] ?? []);
      return own !== undefined && JSON.stringify(own) === shown ? own : (noted ?? own);
    };
    const [entrypoint, command] = [pick("entrypoint"), pick("command")];
    return { ...(entrypoint !== undefined && { entrypoint }), ...(command !== undefined && { command }) };
  }
}

/** Everything that needs a new container when it changes. */
function declarationOf(service: Service): string {
  const declared = declaredSettings(service);
  return JSON.stringify(FIELDS.map((field) => canonical(declared, field)));
}

function mountsOf({ pendingState, deployedState }: Service): string[] {
  return [...(pendingState.volumes ?? []), ...(deployedState?.volumes ?? [])];
}

// All that there is: projects with their stacks, containers, volumes and registries, as they are, and what is seen of them (the event log's views).
// What a client may do is in operations' handlers and in stack-writes; here is what things consist of and what happens to them.

import type { Clock } from "../clock.ts";
import { createRandom, type Random } from "../random.ts";
import { Refusal, unknown } from "./answers.ts";
import { Container, type Surroundings } from "./container.ts";
import { isDue } from "./cron.ts";
import { mounts, type Declared } from "./declared.ts";
import { Effects } from "./effects.ts";
import { EventLog, type Change } from "./events.ts";
import { Images } from "./images.ts";
import { Registries } from "./registries.ts";
import { TimerPool } from "./timers.ts";
import type { Actor, MittwaldOptions, ProjectOptions, Quirks, StackBody, UpdateSchedule, VolumeBody } from "./types.ts";

const MINUTE_MS = 60_000;
/** Schedules are looked at so long after the full minute, lest a timer that is early finds the minute before. */
const AFTER_MS = 50;

export interface Project {
  readonly id: string;
  readonly shortId: string;
}

export interface Stack {
  readonly id: string;
  readonly projectId: string;
  readonly prefix: string;
  description: string;
  /** Shown, and of no other effect: no page says what it means. */
  disabled: boolean;
  updateSchedule: UpdateSchedule | null | undefined;
  /** By name. */
  readonly containers: Map<string, Container>;
  /** By name. */
  readonly volumes: Map<string, Volume>;
}

export interface Volume {
  readonly id: string;
  readonly name: string;
  /** It was left out of a PUT: there, but of no use to the stack. */
  detached: boolean;
  readonly bytes: number;
  readonly atMs: number;
}

export class Platform {
  readonly images = new Images();
  readonly registries: Registries;
  readonly effects: Effects;
  readonly events: EventLog;
  readonly quirks: Quirks;
  readonly #timers: TimerPool;
  readonly #random: Random;
  readonly #times: Surroundings["times"];
  readonly #projects = new Map<string, Project>();
  readonly #stacks = new Map<string, Stack>();
  readonly #webhooks = new Map<string, { stackId: string; serviceId: string }>();
  #batch: Change[] | undefined;
  #hasSchedule = false;

  constructor(options: MittwaldOptions, quirks: Quirks, clock: Clock) {
    const { pullMs = 1000, startMs = 500, stopMs = 200, pullRetryMs = 5000, seed = "mittwald" } = options;
    this.#times = { pullMs, startMs, stopMs, pullRetryMs };
    this.quirks = quirks;
    this.#timers = new TimerPool(clock);
    this.#random = createRandom(seed);
    this.effects = new Effects(clock);
    this.events = new EventLog(clock, quirks, createRandom(`${seed} events`));
    this.registries = new Registries(
      { clock: this.#timers, images: this.images, quirks },
      () => this.#random.uuid(),
      (change) => this.#changed(change),
    );
    for (const project of options.projects ?? [{}]) this.addProject(project);
  }

  /** With its default stack and its three registries. */
  addProject({ id, shortId, defaultStackDelayMs = 0 }: ProjectOptions = {}): Project {
    const project = { id: id ?? this.#random.uuid(), shortId: shortId ?? this.#shortId("p") };
    this.#projects.set(project.id, project);
    this.registries.addStandard(project.id);
    const add = (): void => {
      this.#addStack(project.id, project, "default", project.shortId);
    };
    if (defaultStackDelayMs > 0) this.#timers.setTimeout(add, defaultStackDelayMs);
    else add();
    return project;
  }

  projects(): readonly Project[] {
    return [...this.#projects.values()];
  }

  /** By id or short id. */
  project(id: string): Project | undefined {
    return this.#projects.get(id) ?? this.projects().find(({ shortId }) => shortId === id);
  }

  /** As they are, not as they are seen. */
  stacks(): readonly Stack[] {
    return [...this.#stacks.values()];
  }

  /** @throws Refusal when there is none */
  stack(id: string): Stack {
    const stack = this.#stacks.get(id);
    if (stack === undefined) throw unknown(this.quirks.unknownStack, "stack");
    return stack;
  }

  /** By id or short id. @throws Refusal when there is none */
  container(stack: Stack, id: string): Container {
    for (const container of stack.containers.values())
      if (container.identity.id === id || container.identity.shortId === id) return container;
    throw unknown(this.quirks.unknownService, "service");
  }

  /** @throws Refusal when there is none */
  volume(stack: Stack, id: string): Volume {
    for (const volume of stack.volumes.values()) if (volume.id === id) return volume;
    throw unknown(this.quirks.unknownService, "volume");
  }

  /** Carries out a write: all its changes are one event. @returns with the event's id */
  write<T>(run: () => T): { result: T; etag: string } {
    if (this.#batch !== undefined) throw new Error("a write within a write");
    const batch: Change[] = [];
    this.#batch = batch;
    try {
      return { result: run(), etag: this.events.append(batch) };
    } catch (error) {
      if (batch.length > 0) this.events.append(batch);
      throw error;
    } finally {
      this.#batch = undefined;
    }
  }

  /** @throws Refusal 409 when the project has as many as it may have */
  createStack(project: Project, description: string): Stack {
    const { mostStacks } = this.quirks;
    const present = this.stacks().filter(({ projectId }) => projectId === project.id).length;
    if (mostStacks !== undefined && present >= mostStacks)
      throw new Refusal(409, "Conflict", `project ${project.shortId} has ${present} stacks already`);
    return this.#addStack(this.#random.uuid(), project, description, this.#shortId("s"));
  }

  deleteStack(stack: Stack, by: Actor): void {
    this.emptyStack(stack, by);
    this.#stacks.delete(stack.id);
    this.#changed({ table: "stacks", id: stack.id, row: undefined });
  }

  /** All containers and volumes of a stack are no more. */
  emptyStack(stack: Stack, by: Actor): void {
    for (const container of stack.containers.values()) this.removeContainer(stack, container, by);
    for (const volume of stack.volumes.values()) this.deleteVolume(stack, volume);
  }

  stackChanged(stack: Stack): void {
    this.#changed({ table: "stacks", id: stack.id, row: bodyOfStack(stack) });
  }

  setSchedule(stack: Stack, schedule: UpdateSchedule | null): void {
    stack.updateSchedule = schedule;
    this.stackChanged(stack);
    if (schedule !== null && !this.#hasSchedule) this.#nextMinute();
  }

  /** What an update schedule does when it is due. */
  runSchedule(stack: Stack): void {
    for (const container of stack.containers.values()) {
      if (this.quirks.scheduleRecreates === "changed" && !container.isOutdated) continue;
      try {
        container.pull("schedule", false);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        container.write(error.message);
      }
    }
  }

  addContainer(stack: Stack, serviceName: string, declared: Declared, by: Actor): Container {
    const container = new Container(
      {
        id: this.#random.uuid(),
        shortId: this.#shortId("c"),
        stackId: stack.id,
        projectId: stack.projectId,
        serviceName,
      },
      declared,
      {
        clock: this.#timers,
        images: this.images,
        quirks: this.quirks,
        times: this.#times,
        login: (host) => this.registries.login(stack.projectId, host),
        changed: (changed) => this.#containerChanged(changed),
        effect: (changed, kind, actor, downtime) => this.effects.add(changed.identity, kind, actor, downtime),
      },
    );
    stack.containers.set(serviceName, container);
    container.create(by);
    return container;
  }

  removeContainer(stack: Stack, container: Container, by: Actor): void {
    container.remove(by);
    stack.containers.delete(container.identity.serviceName);
    this.#changed({ table: "services", id: container.identity.id, row: undefined });
  }

  addVolume(stack: Stack, name: string): void {
    const id = this.#random.uuid();
    const atMs = this.#timers.now();
    stack.volumes.set(name, { id, name, detached: false, bytes: this.#random.integer(100_000_000), atMs });
  }

  /** @throws Refusal 412 when a container mounts it */
  deleteVolume(stack: Stack, volume: Volume): void {
    const linked = linkedServices(stack, volume);
    if (linked.length > 0)
      throw new Refusal(412, "VError", `cannot delete volume ${volume.id}, it is linked to ${linked.join(", ")}`);
    stack.volumes.delete(volume.name);
    this.#changed({ table: "volumes", id: volume.id, row: undefined });
  }

  /** The volumes of a stack, or what mounts them, are not what they were. */
  volumesChanged(stack: Stack): void {
    for (const volume of stack.volumes.values())
      this.#changed({ table: "volumes", id: volume.id, row: bodyOfVolume(stack, volume) });
  }

  /** A new token; the old one is no longer taken. */
  rotateWebhook({ stackId, id: serviceId }: { stackId: string; id: string }): string {
    for (const [token, { serviceId: other }] of this.#webhooks) if (other === serviceId) this.#webhooks.delete(token);
    const token = this.#random.uuid();
    this.#webhooks.set(token, { stackId, serviceId });
    return token;
  }

  webhook(token: string): { stackId: string; serviceId: string } | undefined {
    return this.#webhooks.get(token);
  }

  /** Nothing happens by itself any more. */
  stop(): void {
    this.#timers.close();
  }

  #addStack(id: string, project: Project, description: string, prefix: string): Stack {
    const stack: Stack = {
      id,
      projectId: project.id,
      prefix,
      description,
      disabled: false,
      updateSchedule: undefined,
      containers: new Map(),
      volumes: new Map(),
    };
    this.#stacks.set(id, stack);
    this.stackChanged(stack);
    return stack;
  }

  #containerChanged(container: Container): void {
    this.#changed({ table: "services", id: container.identity.id, row: container.body() });
  }

  #changed(change: Change): void {
    if (this.#batch === undefined) this.events.append([change]);
    else this.#batch.push(change);
  }

  #nextMinute(): void {
    this.#hasSchedule = true;
    this.#timers.setTimeout(
      () => {
        const now = this.#timers.now();
        const due = this.stacks().filter(
          ({ updateSchedule: when }) => when !== undefined && when !== null && isDue(when, now),
        );
        for (const stack of due) this.runSchedule(stack);
        this.#nextMinute();
      },
      MINUTE_MS - (this.#timers.now() % MINUTE_MS) + AFTER_MS,
    );
  }

  #shortId(kind: string): string {
    const digits = Array.from({ length: 6 }, () => this.#random.integer(36).toString(36));
    return `${kind}-${digits.join("")}`;
  }
}

/** A stack by itself, as answers show it. */
export function bodyOfStack({ id, projectId, description, disabled, prefix, updateSchedule }: Stack): StackBody {
  return {
    id,
    projectId,
    description,
    disabled,
    prefix,
    ...(updateSchedule !== undefined && { updateSchedule }),
  };
}

export function bodyOfVolume(stack: Stack, volume: Volume): VolumeBody {
  const linked = linkedServices(stack, volume);
  return {
    id: volume.id,
    stackId: stack.id,
    name: volume.name,
    orphaned: volume.detached || linked.length === 0,
    ...(linked.length > 0 && { linkedServices: linked }),
    storageUsageInBytes: volume.bytes,
    storageUsageInBytesSetAt: new Date(volume.atMs).toISOString(),
  };
}

function linkedServices(stack: Stack, { name }: Volume): string[] {
  return [...stack.containers.values()]
    .filter(({ declared }) => mounts(declared.volumes).includes(name))
    .map(({ identity }) => identity.id);
}

// One asset: a device with a control loop that does one thing at a time, a table of ports and a file of its deployments. Knows no HTTP.

import { randomUUID } from "node:crypto";
import { sleep, type Clock } from "../clock.ts";
import { ERROR_TEXTS, KUBELET_REASONS, textOf, type ErrorCode } from "./texts.ts";
import type { AssetIds, AssetOptions, Container, Quirks } from "./types.ts";

export type Failure = ErrorCode | "ContainerNotFound";

/** An event of a stream. */
export interface StreamEvent {
  status: "Downloading" | "Unpacking" | "Running" | "Success" | "Fail";
  message: string;
  percentage?: number;
  /** Of a Fail; told only where the vendor does (Quirks.codeKey). */
  code?: Failure;
}

/** Fields of a deploy or an update, read; what was absent is undefined. */
export interface Fields {
  name?: string;
  image?: string;
  environments?: Readonly<Record<string, unknown>>;
  ports?: readonly { host: number; container: number }[];
  volumes?: readonly { host: string; container: string }[];
  hostNetwork?: boolean;
  privileged?: boolean;
}

/** How a run is disturbed. */
export interface Disturbance {
  /** Fails so, after so many events. */
  fail?: { code: ErrorCode; afterEvents: number; applied: boolean };
  /** The device gives up after so many events, without a word. */
  stopAfter?: number;
}

/** What an image does, by a word in its last path part or tag. */
const IMAGE_FAILURES: readonly [RegExp, ErrorCode][] = [
  [/private|absent/, "ImagePullBackOff"],
  [/crashnow|amd64/, "CrashLoopBackOff"],
  [/badconfig/, "CreateContainerConfigError"],
  [/nocreate/, "CreateContainerError"],
  [/norun|broken/, "RunContainerError"],
  [/neverpull/, "ErrImageNeverPull"],
  [/badname/, "InvalidImageName"],
];

export class Device {
  readonly ids: AssetIds;
  readonly kind: "alpon" | "sim";
  online = true;
  bundle: string;
  /** `applied`: the container runs all the same, it is only not saved. */
  diskFull: "no" | "applied" | "notApplied" = "no";
  readonly containers = new Map<string, Container>();
  /** On the device, but not in the cloud's list. */
  readonly orphans = new Set<string>();
  /** In the cloud's list, but not on the device. */
  readonly phantoms = new Map<string, Container>();
  /** Deleted a moment ago: still listed until then, monotonic ms. */
  readonly leaving = new Map<string, { container: Container; untilMs: number }>();
  /** Every container ever made, in order. */
  readonly made: Container[] = [];
  /** Most mutations at a time; the control loop refuses a second. */
  mutations = 0;
  #busy = false;
  /** Counts the device's starts: what was under way before has ended without a word. */
  #boots = 0;
  #underWay: (() => void) | undefined;
  readonly #clock: Clock;
  readonly #quirks: Quirks;
  readonly #stepMs: number;

  constructor(options: AssetOptions, quirks: Quirks, clock: Clock, stepMs: number) {
    const {
      serial,
      uuid = randomUUID(),
      sid = `SID-${serial}`,
      iccid = `8988${serial.replaceAll(/\D/g, "")}`,
    } = options;
    this.ids = { serial, uuid, sid, iccid };
    this.kind = options.kind ?? "alpon";
    this.bundle = options.bundle ?? "25.1.19.4";
    this.#clock = clock;
    this.#quirks = quirks;
    this.#stepMs = stepMs;
  }

  is(id: string): boolean {
    return Object.values(this.ids).includes(id);
  }

  get busy(): boolean {
    return this.#busy;
  }

  /** What the cloud lists. */
  listed(): Container[] {
    const now = this.#clock.monotonic();
    const there = [...this.containers.values()].filter(
      ({ name, createdAt }) => !this.orphans.has(name) && now - createdAt >= this.#quirks.visibleAfterMs,
    );
    const left = [...this.leaving.values()].flatMap(({ container, untilMs }) =>
      untilMs > now && !this.containers.has(container.name) ? [container] : [],
    );
    return [...there, ...left, ...this.phantoms.values()];
  }

  /** Why a deploy cannot begin, in the order in which it is looked at; undefined if it can. */
  deployProblem({ name, image, ports }: Fields): Failure | undefined {
    if (name === undefined || name === "") return "ErrorNoName";
    if (image === undefined || image === "") return "ErrorNoImage";
    if (!this.online) return "DeviceNotReachable";
    if (this.#busy) return "ErrorControlLoopAlreadyRunning";
    if (this.containers.has(name)) return this.orphans.has(name) ? "ErrorDeploymentAlreadyExist" : "ContainerExists";
    return this.#portProblem(ports ?? [], name);
  }

  updateProblem(name: string, { ports }: Fields): Failure | undefined {
    if (!this.online) return "DeviceNotReachable";
    if (this.#busy) return "ErrorControlLoopAlreadyRunning";
    if (!this.containers.has(name)) return "ContainerNotFound";
    return this.#portProblem(ports ?? [], name);
  }

  /** Runs to its end whoever listens; `emit` is told each event. */
  async deploy(fields: Fields, emit: (event: StreamEvent) => void, how: Disturbance = {}): Promise<void> {
    const make = (state: string): void => {
      const container: Container = {
        name: fields.name ?? "",
        image: fields.image ?? "",
        environments: fields.environments ?? {},
        ports: fields.ports ?? [],
        volumes: fields.volumes ?? [],
        hostNetwork: fields.hostNetwork ?? false,
        privileged: fields.privileged ?? false,
        state,
        createdAt: this.#clock.monotonic(),
        serial: this.made.length + 1,
        updates: 0,
      };
      this.made.push(container);
      this.containers.set(container.name, container);
      this.phantoms.delete(container.name);
    };
    await this.#run(fields.image ?? "", emit, how, "The container has been deployed successfully and is running.", {
      begin: "The container is being created.",
      apply: make,
    });
  }

  async update(name: string, fields: Fields, emit: (event: StreamEvent) => void, how: Disturbance = {}): Promise<void> {
    const container = this.containers.get(name);
    if (container === undefined) throw new Error("not checked before");
    const apply = (state: string): void => {
      if (state !== "Running" && this.#quirks.failedUpdate === "old") return;
      const { name: _immutable, ...changes } = fields;
      Object.assign(container, changes, { state, updates: container.updates + 1 });
    };
    await this.#run(
      fields.image ?? container.image,
      emit,
      how,
      "The application has been updated successfully and is running.",
      {
        begin: "The update is in progress. The container is being updated.",
        apply,
      },
    );
  }

  /** @returns whether there was anything. */
  remove(name: string): boolean {
    const container = this.containers.get(name);
    this.containers.delete(name);
    this.orphans.delete(name);
    const phantom = this.phantoms.delete(name);
    if (container !== undefined && this.#quirks.lingersMs > 0)
      this.leaving.set(name, { container, untilMs: this.#clock.monotonic() + this.#quirks.lingersMs });
    return container !== undefined || phantom;
  }

  /**
   * The power is cut, and comes back. What was under way says nothing more. `resumes`: what it had saved it carries out once it is back.
   */
  reboot({ downMs, resumes }: { downMs: number; resumes: boolean }): void {
    const resume = resumes ? this.#underWay : undefined;
    this.#boots += 1;
    this.#busy = false;
    this.#underWay = undefined;
    this.online = false;
    this.#clock.setTimeout(() => {
      this.online = true;
      resume?.();
    }, downMs);
  }

  #portProblem(ports: readonly { host: number }[], name: string): Failure | undefined {
    if (ports.some(({ host }) => host < 30_000 || host > 32_767)) return "ErrorNodePortIsNotCorrectRange";
    const taken = [...this.containers.values()].flatMap((other) => (other.name === name ? [] : other.ports));
    const wanted = ports.map(({ host }) => host);
    const clash = taken.some(({ host }) => wanted.includes(host)) || new Set(wanted).size < wanted.length;
    return clash ? "ErrorPortInUse" : undefined;
  }

  async #run(
    image: string,
    emit: (event: StreamEvent) => void,
    how: Disturbance,
    success: string,
    steps: { begin: string; apply(state: string): void },
  ): Promise<void> {
    this.#busy = true;
    this.mutations += 1;
    const boot = this.#boots;
    this.#underWay = () => steps.apply("Running");
    try {
      const tag = image.slice(image.lastIndexOf("/") + 1);
      const behaviour = IMAGE_FAILURES.find(([pattern]) => pattern.test(tag))?.[1];
      let count = 0;
      const say = async (event: StreamEvent): Promise<"go" | "fail" | "stop"> => {
        emit(event);
        count += 1;
        await sleep(this.#clock, this.#stepMs * (tag.includes("slow") ? 5 : 1));
        if (boot !== this.#boots) return "stop";
        if (!this.online) return "fail";
        if (how.stopAfter !== undefined && count >= how.stopAfter) return "stop";
        return how.fail !== undefined && count >= how.fail.afterEvents ? "fail" : "go";
      };
      const fail = (code: ErrorCode): void => {
        if (KUBELET_REASONS.has(code)) steps.apply(code);
        else if (how.fail?.applied === true && code === how.fail.code) steps.apply("Running");
        emit({ status: "Fail", message: ERROR_TEXTS[code], code });
      };
      for (const event of this.#progress(steps.begin)) {
        const next = await say(event);
        if (next === "stop") return;
        if (next === "fail") return fail(this.online ? (how.fail?.code ?? "Unknown") : "DeviceNotReachable");
      }
      if (this.diskFull !== "no") {
        if (this.diskFull === "applied") steps.apply("Running");
        emit({ status: "Fail", message: textOf("ErrorSaveDeploymentToFile"), code: "ErrorSaveDeploymentToFile" });
        return;
      }
      if (behaviour !== undefined) return fail(behaviour);
      steps.apply("Running");
      // A process that fails later is seen by looking only.
      if (/crash/.test(tag)) {
        const container = [...this.containers.values()].find((each) => each.image === image);
        this.#clock.setTimeout(() => {
          if (container !== undefined) container.state = "CrashLoopBackOff";
        }, this.#stepMs * 2);
      }
      emit({ status: "Success", message: success });
    } finally {
      if (boot === this.#boots) {
        this.#busy = false;
        this.#underWay = undefined;
      }
    }
  }

  #progress(begin: string): StreamEvent[] {
    const running: StreamEvent = { status: "Running", message: begin };
    if (!isAtLeast(this.bundle, [25, 1, 19])) return [running];
    return [
      ...[0, 40, 80, 100].map((percentage) => ({
        status: "Downloading" as const,
        message: "Downloading the image.",
        percentage,
      })),
      { status: "Unpacking", message: "Unpacking the image." },
      running,
    ];
  }
}

function isAtLeast(version: string, wanted: readonly number[]): boolean {
  const parts = version.split(".").map(Number);
  for (const [index, number] of wanted.entries()) {
    const part = parts[index] ?? 0;
    if (part !== number) return part > number;
  }
  return true;
}

/**
 * Leader election on a Lease, after client-go (tools/leaderelection/leaderelection.go): a candidate takes the lease when
 * nobody holds it or when its record has not changed for a whole lease duration as seen by the candidate's own monotonic
 * clock; timestamps written by others are never compared with ours. A standby also watches the lease, so that a release
 * is taken up at once instead of at the next try.
 */

import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import type { KubeClient } from "./client.ts";
import { sleep } from "./clock.ts";
import { isAborted, isConflict, isForbidden, isNotFound } from "./errors.ts";
import { LeaseFence, OPEN_FENCE, type Fence } from "./fence.ts";
import { DEFAULT_REFLECTOR_TIMES } from "./reflector-types.ts";
import { heldSpec, LEASES, releasedSpec, type Lease } from "./lease-record.ts";

/** Why a leadership ended. */
export type LeadershipEnd =
  /** The signal aborted: the lease was released. */
  | "stopped"
  /** It could not be renewed in time, or somebody else holds it. */
  | "lost";

/** Who leads. Both the elector and NoLease are one. */
export interface Election {
  /** Name of this candidate, unique per process. */
  readonly identity: string;
  readonly fence: Fence;
  /** True where nobody else is asked: there is no lease to wait for. */
  readonly isAlone?: boolean;
  isLeader(): boolean;
  /**
   * Waits for leadership and keeps it until `signal` aborts or it is lost. Abort the signal only when all work that needs
   * the lease has ended: it is renewed until then, and released at once.
   * @returns why it ended; "stopped" too when the signal aborted while waiting. May be called again after "lost".
   */
  run(signal: AbortSignal): Promise<LeadershipEnd>;
}

export interface LeaderElectorOptions {
  client: KubeClient;
  namespace: string;
  /** Name of the Lease. */
  name: string;
  /** Default: `<host name>_<random UUID>`, as controller-runtime does. */
  identity?: string;
  /** How long others wait before they take a lease that is not renewed. Default 15 000. */
  leaseDurationMs?: number;
  /** How long the leader tries to renew before it gives up. Default 10 000. Less than the lease duration. */
  renewDeadlineMs?: number;
  /** Time between tries, and between renewals. Default 2 000. Times 1.2 less than the renew deadline. */
  retryPeriodMs?: number;
  /** How much earlier than the lease the fence closes, for clocks of different speed. Default a tenth of the lease. */
  skewMarginMs?: number;
  /** Called when leadership begins. Must not throw and not block. */
  onStartedLeading?: () => void;
  /** Called when leadership ends, before the lease is released. */
  onStoppedLeading?: (end: LeadershipEnd) => void;
  /** Called when another holder is seen; "" for none. For logs. */
  onNewLeader?: (identity: string) => void;
  /** Told of failed tries. For logs and metrics. */
  onError?: (error: unknown) => void;
  /** Between 0 and 1; default Math.random. */
  random?: () => number;
}

/** client-go's JitterFactor: tries are up to this share later, so that candidates do not march in step. */
const RETRY_JITTER = 1.2;
/** How long a standby's watch of the lease lasts before it is opened anew. */
const WATCH_SECONDS = 600;

export class LeaderElector implements Election {
  readonly identity: string;
  readonly #fence: LeaseFence;
  readonly #options: LeaderElectorOptions;
  readonly #leaseDurationMs: number;
  readonly #renewDeadlineMs: number;
  readonly #retryPeriodMs: number;
  readonly #validMs: number;
  readonly #requestTimeoutMs: number;
  #leading = false;
  /** The lease as last read or written. */
  #observed: Lease | undefined;
  /** Monotonic time at which its record was last seen to change. */
  #observedAt = 0;
  #lastHolder: string | undefined;

  /** @throws RangeError when the times contradict each other. */
  constructor(options: LeaderElectorOptions) {
    this.#options = options;
    this.identity = options.identity ?? `${hostname()}_${randomUUID()}`;
    this.#leaseDurationMs = options.leaseDurationMs ?? 15_000;
    this.#renewDeadlineMs = options.renewDeadlineMs ?? 10_000;
    this.#retryPeriodMs = options.retryPeriodMs ?? 2_000;
    if (this.#leaseDurationMs <= this.#renewDeadlineMs) {
      throw new RangeError("the lease duration must be longer than the renew deadline");
    }
    if (this.#renewDeadlineMs <= this.#retryPeriodMs * RETRY_JITTER) {
      throw new RangeError(`the renew deadline must be longer than ${RETRY_JITTER} times the retry period`);
    }
    this.#validMs = this.#leaseDurationMs - (options.skewMarginMs ?? this.#leaseDurationMs / 10);
    if (this.#validMs <= 0) {
      throw new RangeError("the skew margin must be shorter than the lease duration");
    }
    // One hung request must not cost the leadership (controller-runtime, pkg/leaderelection).
    this.#requestTimeoutMs = Math.max(Math.min(1_000, this.#renewDeadlineMs), this.#renewDeadlineMs / 2);
    this.#fence = new LeaseFence(options.client.clock);
  }

  get fence(): Fence {
    return this.#fence;
  }

  isLeader(): boolean {
    return this.#leading;
  }

  async run(signal: AbortSignal): Promise<LeadershipEnd> {
    if (!(await this.#acquire(signal))) {
      return "stopped";
    }
    this.#leading = true;
    this.#options.onStartedLeading?.();
    let end: LeadershipEnd = "lost";
    try {
      end = await this.#hold(signal);
    } finally {
      this.#leading = false;
      this.#fence.close();
      this.#options.onStoppedLeading?.(end);
    }
    if (end === "stopped") {
      await this.#release();
    }
    return end;
  }

  /** Tries until the lease is ours. @returns false when the signal aborted. */
  async #acquire(signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#options.client;
    const over = new AbortController();
    let watching: Promise<void> | undefined;
    let released = false;
    let wake = (): void => undefined;
    const onRelease = (): void => {
      released = true;
      wake();
    };
    try {
      while (!signal.aborted) {
        released = false;
        if (await this.#try(signal)) {
          if (!signal.aborted) {
            return true;
          }
          await this.#release();
          return false;
        }
        watching ??= this.#watchForRelease(over.signal, onRelease).finally(() => {
          watching = undefined;
        });
        if (!released && !signal.aborted) {
          const pause = new AbortController();
          wake = () => pause.abort();
          signal.addEventListener("abort", wake, { once: true });
          const random = (this.#options.random ?? Math.random)();
          await sleep(clock, this.#retryPeriodMs * (1 + random * (RETRY_JITTER - 1)), pause.signal);
          signal.removeEventListener("abort", wake);
        }
      }
      return false;
    } finally {
      over.abort();
      await watching;
    }
  }

  /** Renews until the signal aborts or the renew deadline passes without a success. */
  async #hold(signal: AbortSignal): Promise<LeadershipEnd> {
    const { clock } = this.#options.client;
    let renewedAt = clock.monotonic();
    // Waits no longer than the deadline, so that a loss is noticed when it happens.
    const waitMs = (): number => Math.min(this.#retryPeriodMs, renewedAt + this.#renewDeadlineMs - clock.monotonic());
    while (await sleep(clock, Math.max(0, waitMs()), signal)) {
      const startedAt = clock.monotonic();
      const leftMs = renewedAt + this.#renewDeadlineMs - startedAt;
      if (leftMs <= 0) {
        return "lost";
      }
      if (await this.#try(signal, Math.min(leftMs, this.#requestTimeoutMs))) {
        renewedAt = startedAt;
      } else if (this.#heldByOther()) {
        return "lost";
      }
    }
    return "stopped";
  }

  /** One attempt to take or renew. @returns whether the lease is ours now. */
  async #try(signal: AbortSignal, timeoutMs = this.#requestTimeoutMs): Promise<boolean> {
    try {
      // The holder writes straight from what it wrote last; a conflict shows when that is out of date.
      if (!this.#leading || this.#observed === undefined) {
        this.#observe(await this.#read(signal, timeoutMs));
      }
      if (!this.#mayTake()) {
        return false;
      }
      try {
        await this.#take(signal, timeoutMs);
      } catch (error) {
        if (!this.#leading || !(isConflict(error) || isNotFound(error))) {
          throw error;
        }
        // Somebody wrote, or removed it, or an unanswered renewal of ours went through: look, and once more.
        this.#options.onError?.(error);
        this.#observe(await this.#read(signal, timeoutMs));
        if (!this.#mayTake()) {
          return false;
        }
        await this.#take(signal, timeoutMs);
      }
      return true;
    } catch (error) {
      if (!isAborted(error)) {
        this.#options.onError?.(error);
      }
      return false;
    }
  }

  /** Writes the lease as ours, and opens the fence for as long as that surely holds. */
  async #take(signal: AbortSignal, timeoutMs: number): Promise<void> {
    const { clock } = this.#options.client;
    const startedMonotonic = clock.monotonic();
    const startedWall = clock.now();
    this.#observe(await this.#write(startedWall, signal, timeoutMs));
    this.#fence.extend(startedMonotonic, startedWall, this.#validMs);
  }

  async #read(signal: AbortSignal, timeoutMs: number): Promise<Lease | undefined> {
    const { client, namespace, name } = this.#options;
    try {
      return await client.get(LEASES, { namespace, name }, { signal, timeoutMs, lane: "lease", readRetries: 0 });
    } catch (error) {
      if (isNotFound(error)) {
        return undefined;
      }
      throw error;
    }
  }

  #write(wallMs: number, signal: AbortSignal, timeoutMs: number): Promise<Lease> {
    const { client, namespace, name } = this.#options;
    const before = this.#observed;
    const spec = heldSpec(before?.spec, this.identity, this.#leaseDurationMs, wallMs);
    const options = { signal, timeoutMs, lane: "lease" as const };
    return before === undefined
      ? client.create(LEASES, { metadata: { namespace, name }, spec }, options)
      : client.replace(LEASES, { ...before, spec }, options);
  }

  /** Notes a reading; the clock of the others' lease starts anew only when the record changed. */
  #observe(lease: Lease | undefined): void {
    const holder = lease?.spec?.holderIdentity ?? "";
    if (lease?.metadata.resourceVersion !== this.#observed?.metadata.resourceVersion || lease === undefined) {
      this.#observedAt = this.#options.client.clock.monotonic();
    }
    this.#observed = lease;
    if (holder !== this.#lastHolder) {
      this.#lastHolder = holder;
      this.#options.onNewLeader?.(holder);
    }
  }

  #mayTake(): boolean {
    const spec = this.#observed?.spec;
    const holder = spec?.holderIdentity ?? "";
    if (holder === "" || holder === this.identity) {
      return true;
    }
    const durationMs = (spec?.leaseDurationSeconds ?? Math.ceil(this.#leaseDurationMs / 1000)) * 1000;
    return this.#options.client.clock.monotonic() - this.#observedAt >= durationMs;
  }

  #heldByOther(): boolean {
    const holder = this.#observed?.spec?.holderIdentity ?? "";
    return this.#observed !== undefined && holder !== "" && holder !== this.identity;
  }

  /**
   * Calls `onRelease` when the lease is seen without a holder. A help only: when it ends, for whatever reason, the next
   * try begins it again.
   */
  async #watchForRelease(signal: AbortSignal, onRelease: () => void): Promise<void> {
    const { client, namespace, name } = this.#options;
    const resourceVersion = this.#observed?.metadata.resourceVersion;
    if (resourceVersion === undefined) {
      return;
    }
    const options = {
      namespace,
      fieldSelector: `metadata.name=${name}`,
      resourceVersion,
      timeoutSeconds: WATCH_SECONDS,
      silenceMs: DEFAULT_REFLECTOR_TIMES.silenceMs,
      signal,
    };
    try {
      await client.watch(LEASES, options, {
        onEvent: (event) => {
          if (event.type === "DELETED" || (event.type === "MODIFIED" && !event.object.spec?.holderIdentity)) {
            onRelease();
          }
        },
      });
    } catch (error) {
      if (!isAborted(error) && !isForbidden(error)) {
        this.#options.onError?.(error);
      }
    }
  }

  /**
   * Lets go, so that a standby need not wait for the lease to run out. A conflict means that an unanswered renewal of ours
   * went through after all: it is tried once more from what the server has. If that fails too, the lease runs out.
   */
  async #release(): Promise<void> {
    for (let attempt = 0; attempt < 2; attempt += 1) {
      const { client } = this.#options;
      const before = this.#observed;
      if (before === undefined || before.spec?.holderIdentity !== this.identity) {
        return;
      }
      const spec = releasedSpec(before.spec, client.clock.now());
      const options = { timeoutMs: this.#requestTimeoutMs, lane: "lease" as const };
      try {
        this.#observe(await client.replace(LEASES, { ...before, spec }, options));
        return;
      } catch (error) {
        this.#options.onError?.(error);
        if (!isConflict(error)) {
          return;
        }
      }
      this.#observe(await this.#read(new AbortController().signal, this.#requestTimeoutMs).catch(() => undefined));
    }
  }
}

/** A process that leads without asking (--leader-elect=false): whoever starts two of them gets two leaders. */
export class NoLease implements Election {
  readonly identity: string;
  readonly fence: Fence = OPEN_FENCE;
  readonly isAlone = true;
  readonly #onStartedLeading: (() => void) | undefined;
  readonly #onStoppedLeading: ((end: LeadershipEnd) => void) | undefined;
  #leading = false;

  constructor(options: Pick<LeaderElectorOptions, "identity" | "onStartedLeading" | "onStoppedLeading"> = {}) {
    this.identity = options.identity ?? `${hostname()}_${randomUUID()}`;
    this.#onStartedLeading = options.onStartedLeading;
    this.#onStoppedLeading = options.onStoppedLeading;
  }

  isLeader(): boolean {
    return this.#leading;
  }

  async run(signal: AbortSignal): Promise<LeadershipEnd> {
    if (signal.aborted) {
      return "stopped";
    }
    this.#leading = true;
    this.#onStartedLeading?.();
    const { promise, resolve } = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => resolve(), { once: true });
    await promise;
    this.#leading = false;
    this.#onStoppedLeading?.("stopped");
    return "stopped";
  }
}

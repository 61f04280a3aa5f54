/**
 * Secrets and ConfigMaps by name: read when needed, kept in memory only as long as they are known to be current. Where RBAC
 * allows a metadata-only watch, its resourceVersions say so; else a value is read again after a jittered time.
 */
import type { Clock } from "../kube/clock.ts";
import { isNotFound } from "../kube/errors.ts";
import { isAtLeast } from "../kube/resource-version.ts";
import { keyString } from "../kube/resource.ts";
import type { ObjectKey } from "../kube/types.ts";

/** Kinds that values come from. */
export type ValueKind = "Secret" | "ConfigMap";

/** Bytes that are no UTF-8 text: they cannot be a variable, since to read them as text is to change them. */
export class NotText {
  /** The text with the character U+FFFD for what is none. */
  readonly lossy: string;

  constructor(lossy: string) {
    this.lossy = lossy;
  }
}

/** The data of a Secret (decoded) or ConfigMap. Lives in memory only and is never logged. */
export type ValueData = ReadonlyMap<string, string | NotText>;

/** How values are fetched; the API client at run time. */
export interface ValueSource {
  /** The object's data and resourceVersion; rejects with an ApiError. */
  read(kind: ValueKind, key: ObjectKey): Promise<{ data: ValueData; resourceVersion: string }>;
  /**
   * The newest resourceVersion that a metadata-only watch has seen: undefined if there is no such watch, null if the object
   * does not exist.
   */
  watchedVersion(kind: ValueKind, key: ObjectKey): string | null | undefined;
  /** Whether changes of this kind are told at present. */
  isWatched(kind: ValueKind): boolean;
}

interface Entry {
  data: ValueData | undefined;
  resourceVersion: string | undefined;
  freshUntilMs: number;
}

/** Reads and remembers values. */
export class References {
  readonly #source: ValueSource;
  readonly #clock: Clock;
  readonly #recheckMs: number;
  readonly #random: () => number;
  readonly #entries = new Map<string, Entry>();
  #sweptAtMs = 0;

  /** @param recheckMs how long a value is trusted where no watch tells of changes; jittered by ±20 %. Default 60 s. */
  constructor(source: ValueSource, clock: Clock, options: { recheckMs?: number; random?: () => number } = {}) {
    this.#source = source;
    this.#clock = clock;
    this.#recheckMs = options.recheckMs ?? 60_000;
    this.#random = options.random ?? Math.random;
  }

  /** The data, or undefined if there is no such object. Rejects if the API server cannot be asked. */
  async get(kind: ValueKind, key: ObjectKey): Promise<ValueData | undefined> {
    const id = `${kind}/${keyString(key)}`;
    const watched = this.#source.watchedVersion(kind, key);
    const entry = this.#entries.get(id);
    if (entry !== undefined && this.#isCurrent(entry, watched)) return entry.data;
    const fetched = await this.#fetch(kind, key);
    this.#sweep();
    this.#entries.set(id, {
      ...fetched,
      freshUntilMs: this.#clock.monotonic() + this.#recheckMs * (0.8 + 0.4 * this.#random()),
    });
    return fetched.data;
  }

  /**
   * In how many ms an object that reads values of these kinds should look again, since no watch would tell it of a change;
   * undefined if watches do. Jittered, so that a fleet does not come at once.
   */
  recheckInMs(kinds: ReadonlySet<ValueKind>): number | undefined {
    for (const kind of kinds)
      if (!this.#source.isWatched(kind)) return Math.round(this.#recheckMs * (0.8 + 0.4 * this.#random()));
    return undefined;
  }

  /** Forgets a value: a watch has seen it change. */
  invalidate(kind: ValueKind, key: ObjectKey): void {
    this.#entries.delete(`${kind}/${keyString(key)}`);
  }

  /** Forgets what has not been asked for in a while, so that secrets that nobody uses do not stay in memory. */
  #sweep(): void {
    const now = this.#clock.monotonic();
    if (now - this.#sweptAtMs < this.#recheckMs) return;
    this.#sweptAtMs = now;
    for (const [id, entry] of this.#entries) if (entry.freshUntilMs + this.#recheckMs < now) this.#entries.delete(id);
  }

  #isCurrent(entry: Entry, watched: string | null | undefined): boolean {
    if (watched === undefined) return this.#clock.monotonic() < entry.freshUntilMs;
    // The watch may trail what was read: only a version newer than ours makes it old. Gone is gone, unless just read.
    if (watched === null) return entry.data === undefined || this.#clock.monotonic() < entry.freshUntilMs;
    return entry.resourceVersion !== undefined && isAtLeast(entry.resourceVersion, watched);
  }

  async #fetch(kind: ValueKind, key: ObjectKey): Promise<Pick<Entry, "data" | "resourceVersion">> {
    try {
      return await this.#source.read(kind, key);
    } catch (error) {
      if (isNotFound(error)) return { data: undefined, resourceVersion: undefined };
      throw error;
    }
  }
}

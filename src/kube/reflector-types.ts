/** The vocabulary of reflector-machine.ts: its states, what it is told, what it asks for, and the times it keeps. */

/** Times that govern a reflector. All in milliseconds unless the name says otherwise. */
export interface ReflectorTimes {
  /** First wait after a failure. Default 800. Every wait is multiplied by a random factor between 1 and 2. */
  backoffMinMs: number;
  /** Longest wait before that factor. Default 30 000. */
  backoffMaxMs: number;
  /**
   * Longest wait, before that factor, while nobody listens at the server's address. Such an attempt costs the server
   * nothing, and a server that returns should be noticed within 5 s. Default 2 000.
   */
  unreachableMaxMs: number;
  /** After this long without a failure the wait starts small again. Default 120 000. */
  healthyResetMs: number;
  /** A watch silent for this long is dead: bookmarks come every 60 s or so. Default 75 000. */
  silenceMs: number;
  /** A watch lasts between this and twice this, as the server is asked to end it. Default 300 s. */
  watchMinSeconds: number;
}

export const DEFAULT_REFLECTOR_TIMES: Readonly<ReflectorTimes> = {
  backoffMinMs: 800,
  backoffMaxMs: 30_000,
  unreachableMaxMs: 2_000,
  healthyResetMs: 120_000,
  silenceMs: 75_000,
  watchMinSeconds: 300,
};

/** What went wrong, as far as the next move depends on it. */
export type FailureKind =
  /** The server forgot the version or the continue token (410). */
  | "expired"
  /** The server does not take these parameters (400, 422): too old for watch-list, or it is switched off. */
  | "refused"
  /** 429. */
  | "throttled"
  /** The request surely never left: nobody listens there. */
  | "unreachable"
  /** No sign of life for too long. */
  | "silent"
  /** Not JSON, or cut inside an event. */
  | "garbled"
  /** The server does not know our version yet ("too large resource version"). */
  | "ahead"
  /** Everything else: 5xx, 403, 401, a reset connection. */
  | "other";

export interface Failure {
  kind: FailureKind;
  /** When the server asks to be left alone. */
  retryAfterMs?: number | undefined;
}

/** What a state remembers besides its own business. */
export interface Memory {
  /** Failures since the last healthy time. */
  attempts: number;
  /** Since when there is contact without failure; undefined while there is none. Monotonic milliseconds. */
  healthySince: number | undefined;
  watchListRefused: boolean;
  watchListFailures: number;
  /** Versions that expired since the last healthy time. */
  expired: number;
  garbledInARow: number;
  silentInARow: number;
  /** The next list must not be paged: pages expired before they were all read. */
  unpaged: boolean;
}

export type ReflectorState =
  | { name: "Empty"; memory: Memory }
  | { name: "Listing"; memory: Memory; pages: number }
  | { name: "WatchListing"; memory: Memory }
  | { name: "Watching"; memory: Memory; resourceVersion: string; openedAt: number | undefined; progressed: boolean }
  | { name: "BackingOff"; memory: Memory; resume: Resume; resourceVersion: string }
  | { name: "Probing"; memory: Memory; resourceVersion: string };

/** What to do after a wait. `probe`: ask for the collection's version, then watch, or list if it is older than ours. */
export type Resume = "list" | "watch" | "probe";

export type EventType = "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK";

export type ReflectorInput =
  | { kind: "start" }
  | { kind: "page"; continueToken: string; resourceVersion: string }
  | { kind: "opened" }
  /** An object or a bookmark came; `initialEnd` when the bookmark closes the initial events. */
  | { kind: "event"; type: EventType; resourceVersion: string; initialEnd: boolean }
  /** The server ended the stream in order. */
  | { kind: "ended" }
  | { kind: "failed"; failure: Failure }
  /** The wait is over. */
  | { kind: "timer" };

export type ReflectorAction =
  | { do: "beginList" }
  | { do: "discardList" }
  /** Put the page's objects, or the event's, aside for the list. */
  | { do: "stage" }
  | { do: "unstage" }
  | { do: "commitList"; resourceVersion: string }
  /** Bring the event's object into the store. */
  | { do: "apply"; type: "ADDED" | "MODIFIED" | "DELETED" }
  | { do: "progress"; resourceVersion: string }
  | { do: "listPage"; continueToken: string; paged: boolean }
  /** Ask for the collection's version alone. */
  | { do: "probe" }
  | { do: "openWatchList"; timeoutSeconds: number }
  | { do: "openWatch"; resourceVersion: string; timeoutSeconds: number }
  | { do: "closeStream" }
  | { do: "wait"; delayMs: number };

/** What a step may know of the outside. */
export interface StepContext {
  /** Monotonic milliseconds. */
  nowMs: number;
  /** Between 0 and 1; one for each step. */
  random: number;
  times: ReflectorTimes;
}

export type Step = [ReflectorState, ReflectorAction[]];

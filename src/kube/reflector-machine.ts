/**
 * How a collection is followed, as a pure state machine: `step(state, input, context)` gives the next state and what to do.
 * It holds no objects and does no I/O; reflector.ts carries its actions out.
 *
 *     Empty -> WatchListing ----------> Watching <-> BackingOff
 *        \---> Listing (page by page) ---^   |
 *     any failure -> BackingOff -> what the failure calls for: watch again, or list again
 *     after a lost connection, before watching again: Probing, whether the server's versions went backwards
 *
 * Guarantees: it never gives up; while a failure lasts, requests are spaced by the backoff; a watch goes on from the last
 * version seen unless the server forgot it or the versions went backwards; a list is taken over whole or not at all.
 * The shape is kube-rs' watcher (kube-runtime/src/watcher.rs), the waiting times are client-go's (tools/cache/reflector.go).
 */

import type { Failure, Memory, ReflectorInput, ReflectorState, Resume, Step, StepContext } from "./reflector-types.ts";
import { isOlder } from "./resource-version.ts";

/** A watch that the server ends in order before this, with no event, counts as a failure: else it would be a hot loop. */
const SHORT_WATCH_MS = 1_000;
/** Failures in a row for which the server's own word on when to come back is taken as it is. */
const BELIEVED_TRIES = 10;
/** Times in a row that a watch may break at one version, or be silent, before the version itself is suspected. */
const SUSPECT_AFTER = { garbled: 3, silent: 2 } as const;
/** Streamed lists that may fail in a row before a paged one is tried. */
const WATCH_LIST_TRIES = 2;

/** The state before anything happened. */
export function initialState(options: { watchList: boolean }): ReflectorState {
  return {
    name: "Empty",
    memory: {
      attempts: 0,
      healthySince: undefined,
      watchListRefused: !options.watchList,
      watchListFailures: 0,
      expired: 0,
      garbledInARow: 0,
      silentInARow: 0,
      unpaged: false,
    },
  };
}

/** The next state and what to do. Inputs that make no sense in a state (late answers) change nothing. */
export function step(state: ReflectorState, input: ReflectorInput, context: StepContext): Step {
  switch (state.name) {
    case "Empty":
      return input.kind === "start" ? list(state.memory, context) : [state, []];
    case "Listing":
      return stepListing(state, input, context);
    case "WatchListing":
      return stepWatchListing(state, input, context);
    case "Watching":
      return stepWatching(state, input, context);
    case "BackingOff":
      if (input.kind !== "timer") {
        return [state, []];
      }
      return resume(state, context);
    case "Probing":
      return stepProbing(state, input, context);
    default:
      return state satisfies never;
  }
}

function resume(state: ReflectorState & { name: "BackingOff" }, context: StepContext): Step {
  const { memory, resourceVersion } = state;
  switch (state.resume) {
    case "list":
      return list(memory, context);
    case "watch":
      return watch(memory, resourceVersion, context);
    case "probe":
      return [{ name: "Probing", memory, resourceVersion }, [{ do: "probe" }]];
    default:
      return state.resume satisfies never;
  }
}

/**
 * A server whose etcd was restored from a backup accepts a watch from a version that lies in its future and then says
 * nothing at all, bookmarks included (seen on 1.36). A restore takes a restart, so it is asked after each lost connection.
 */
function stepProbing(state: ReflectorState & { name: "Probing" }, input: ReflectorInput, context: StepContext): Step {
  const { memory, resourceVersion } = state;
  if (input.kind === "page") {
    return isOlder(input.resourceVersion, resourceVersion)
      ? list(memory, context)
      : watch(memory, resourceVersion, context);
  }
  return input.kind === "failed" ? backOff(memory, "probe", resourceVersion, input.failure, context) : [state, []];
}

function stepListing(state: ReflectorState & { name: "Listing" }, input: ReflectorInput, context: StepContext): Step {
  const { memory } = state;
  if (input.kind === "page") {
    if (input.continueToken !== "") {
      const next: ReflectorState = { name: "Listing", memory, pages: state.pages + 1 };
      return [next, [{ do: "stage" }, { do: "listPage", continueToken: input.continueToken, paged: true }]];
    }
    const after = { ...contact(memory, context), unpaged: false };
    const [next, actions] = watch(after, input.resourceVersion, context);
    return [next, [{ do: "stage" }, { do: "commitList", resourceVersion: input.resourceVersion }, ...actions]];
  }
  if (input.kind === "failed") {
    if (input.failure.kind === "expired" && state.pages > 0) {
      // The instant of the first page was compacted away; one unpaged answer cannot be.
      return backOff({ ...memory, unpaged: true }, "list", "", input.failure, context);
    }
    return backOff(memory, "list", "", input.failure, context);
  }
  return [state, []];
}

function stepWatchListing(
  state: ReflectorState & { name: "WatchListing" },
  input: ReflectorInput,
  context: StepContext,
): Step {
  const { memory } = state;
  switch (input.kind) {
    case "event":
      if (input.type === "BOOKMARK") {
        if (!input.initialEnd) {
          return [state, []];
        }
        const { resourceVersion } = input;
        const after = { ...contact(memory, context), watchListFailures: 0 };
        return [
          { name: "Watching", memory: after, resourceVersion, openedAt: context.nowMs, progressed: true },
          [{ do: "commitList", resourceVersion }],
        ];
      }
      return [state, [{ do: input.type === "DELETED" ? "unstage" : "stage" }]];
    case "failed":
      if (input.failure.kind === "refused") {
        return list({ ...memory, watchListRefused: true }, context);
      }
      return backOff(
        // A server that is not there says nothing about streamed lists.
        input.failure.kind === "unreachable" ? memory : { ...memory, watchListFailures: memory.watchListFailures + 1 },
        "list",
        "",
        input.failure,
        context,
      );
    case "ended":
      return backOff(
        { ...memory, watchListFailures: memory.watchListFailures + 1 },
        "list",
        "",
        { kind: "other" },
        context,
      );
    default:
      return [state, []];
  }
}

function stepWatching(state: ReflectorState & { name: "Watching" }, input: ReflectorInput, context: StepContext): Step {
  const { memory, resourceVersion } = state;
  switch (input.kind) {
    case "opened":
      return [{ ...state, openedAt: context.nowMs, memory: contact(memory, context) }, []];
    case "event": {
      if (isOlder(input.resourceVersion, resourceVersion)) {
        // Versions never go back on a live server: this one was restored from a backup. What we hold may not exist.
        const [next, actions] = backOff(memory, "list", "", { kind: "other" }, context);
        return [next, [{ do: "closeStream" }, ...actions]];
      }
      const healthy = memory.garbledInARow === 0 && memory.silentInARow === 0;
      const next: ReflectorState = {
        ...state,
        resourceVersion: input.resourceVersion,
        progressed: true,
        memory: healthy ? memory : { ...memory, garbledInARow: 0, silentInARow: 0 },
      };
      return input.type === "BOOKMARK"
        ? [next, [{ do: "progress", resourceVersion: input.resourceVersion }]]
        : [next, [{ do: "apply", type: input.type }]];
    }
    case "ended": {
      const short = state.openedAt === undefined || context.nowMs - state.openedAt < SHORT_WATCH_MS;
      return short && !state.progressed
        ? backOff(memory, "watch", resourceVersion, { kind: "other" }, context)
        : watch(memory, resourceVersion, context);
    }
    case "failed":
      return watchFailed(memory, resourceVersion, input.failure, context);
    default:
      return [state, []];
  }
}

function watchFailed(memory: Memory, resourceVersion: string, failure: Failure, context: StepContext): Step {
  switch (failure.kind) {
    case "expired": {
      // The server is well and has said what it needs; what failed before (its restart, as a rule) is over. Only a
      // version that expires again and again, each costing a list, is met with growing waits.
      const expiredBefore = wasHealthy(memory, context) ? 0 : memory.expired;
      const attempts = Math.min(memory.attempts, expiredBefore);
      return backOff({ ...memory, attempts, expired: expiredBefore + 1 }, "list", "", failure, context);
    }
    case "ahead":
    case "refused":
      return backOff(memory, "list", "", failure, context);
    case "silent": {
      const silentInARow = memory.silentInARow + 1;
      if (silentInARow >= SUSPECT_AFTER.silent) {
        // A second connection that is silent too: the server may be waiting for a version that lies in its future.
        return backOff({ ...memory, silentInARow: 0 }, "list", "", failure, context);
      }
      // The silence was the wait.
      return watch({ ...memory, silentInARow }, resourceVersion, context);
    }
    case "garbled": {
      const garbledInARow = memory.garbledInARow + 1;
      const suspect = garbledInARow >= SUSPECT_AFTER.garbled;
      const after = { ...memory, garbledInARow: suspect ? 0 : garbledInARow };
      return backOff(after, suspect ? "list" : "watch", resourceVersion, failure, context);
    }
    case "throttled":
      return backOff(memory, "watch", resourceVersion, failure, context);
    case "unreachable":
    case "other":
      return backOff(memory, "probe", resourceVersion, failure, context);
    default:
      return failure.kind satisfies never;
  }
}

/** Begins a complete list, streamed where that works. */
function list(memory: Memory, context: StepContext): Step {
  if (!memory.watchListRefused && memory.watchListFailures < WATCH_LIST_TRIES) {
    return [
      { name: "WatchListing", memory },
      [{ do: "beginList" }, { do: "openWatchList", timeoutSeconds: watchSeconds(context) }],
    ];
  }
  return [
    { name: "Listing", memory: { ...memory, watchListFailures: 0 }, pages: 0 },
    [{ do: "beginList" }, { do: "listPage", continueToken: "", paged: !memory.unpaged }],
  ];
}

function watch(memory: Memory, resourceVersion: string, context: StepContext): Step {
  return [
    { name: "Watching", memory, resourceVersion, openedAt: undefined, progressed: false },
    [{ do: "openWatch", resourceVersion, timeoutSeconds: watchSeconds(context) }],
  ];
}

function backOff(
  memory: Memory,
  resume: Resume,
  resourceVersion: string,
  failure: Failure,
  context: StepContext,
): Step {
  const { times, random } = context;
  const attempts = wasHealthy(memory, context) ? 0 : memory.attempts;
  const cap =
    failure.kind === "unreachable" ? Math.min(times.unreachableMaxMs, times.backoffMaxMs) : times.backoffMaxMs;
  const ownMs = Math.min(cap, times.backoffMinMs * 2 ** Math.min(attempts, 30)) * (1 + random);
  const askedMs = failure.retryAfterMs === undefined ? 0 : failure.retryAfterMs * (1 + random * 0.2);
  // A server that starts names a second again and again, and a growing wait would outlast its start. Believed for as
  // many tries as client-go's requests do (rest/request.go).
  const believed = failure.retryAfterMs !== undefined && attempts < BELIEVED_TRIES;
  const delayMs = Math.round(believed ? Math.max(times.backoffMinMs, askedMs) : Math.max(ownMs, askedMs));
  return [
    {
      name: "BackingOff",
      memory: { ...memory, attempts: attempts + 1, healthySince: undefined },
      resume,
      resourceVersion,
    },
    [...(resume === "list" ? [{ do: "discardList" } as const] : []), { do: "wait", delayMs }],
  ];
}

/** Whether there was contact without failure for so long that what failed before is forgotten. */
function wasHealthy({ healthySince }: Memory, { nowMs, times }: StepContext): boolean {
  return healthySince !== undefined && nowMs - healthySince >= times.healthyResetMs;
}

/** Notes that the server answers. */
function contact(memory: Memory, context: StepContext): Memory {
  return memory.healthySince === undefined ? { ...memory, healthySince: context.nowMs } : memory;
}

/** Between one and two times the least, so that many watches do not end together. */
function watchSeconds(context: StepContext): number {
  return Math.round(context.times.watchMinSeconds * (1 + context.random));
}

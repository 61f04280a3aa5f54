/**
 * Backoff that users see: kubelet's curve (10 s, doubling, at most 5 min, forgotten after 10 min of health; Kubernetes
 * documentation, "Pod Lifecycle", container restarts). Its state, a count and a next time, lives in the object's status,
 * so a restart of Drayage neither resets it nor piles all retries onto one moment. All functions here are pure.
 */

/** The shape of one backoff. */
export interface BackoffCurve {
  /** Delay after the first failure, in milliseconds. */
  readonly initialMs: number;
  /** Longest delay before jitter, in milliseconds. */
  readonly maxMs: number;
  /** After this long in health the count starts at 0 again, in milliseconds. */
  readonly resetAfterMs: number;
}

/** Kubelet's values, and the defaults of EdgeContainer.spec.backoff. */
export const DEFAULT_BACKOFF: BackoffCurve = { initialMs: 10_000, maxMs: 300_000, resetAfterMs: 600_000 };

/** Jitter moves a delay by at most this part of itself, to either side. */
export const JITTER_FRACTION = 0.1;

/**
 * How long to wait before the next try, in whole milliseconds.
 *
 * @param backoff.count failures in a row, the one just seen included; 0 or less means no wait.
 * @param jitter from -1 to 1 (see {@link jitterOf}); 0 for none. Values outside are clamped.
 * @returns `initialMs * 2^(count-1)`, at most `maxMs`, then moved by up to ±10 %: a herd that has reached the cap must stay
 * spread, so the jitter is applied after the cap and the result may exceed `maxMs` by a tenth.
 */
export function nextBackoff(
  backoff: { readonly count: number } & Pick<BackoffCurve, "initialMs" | "maxMs">,
  jitter: number,
): number {
  if (backoff.count <= 0) return 0;
  const cappedMs = Math.min(backoff.initialMs * 2 ** (backoff.count - 1), backoff.maxMs);
  const bounded = Math.min(1, Math.max(-1, jitter));
  return Math.round(cappedMs * (1 + JITTER_FRACTION * bounded));
}

/**
 * A number in [-1, 1) fixed by its input: the same failure of the same object always gets the same jitter, so that a pass
 * that is repeated computes the same next time, while two objects differ. (FNV-1a, then a final mix so that
 * neighbouring counts land far apart; no cryptographic claim.)
 */
export function jitterOf(uid: string, count: number): number {
  let hash = 0x811c9dc5;
  for (const character of `${uid}/${count}`) {
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  hash ^= hash >>> 16;
  return (hash >>> 0) / 2 ** 31 - 1;
}

/**
 * The count to go on from: 0 once the object has been healthy for `resetAfterMs`, else `count`.
 *
 * @param state.healthySinceMs wall-clock milliseconds since which it is healthy; undefined while it is not.
 */
export function countAfterHealth(
  state: { readonly count: number; readonly healthySinceMs: number | undefined; readonly resetAfterMs: number },
  nowMs: number,
): number {
  if (state.healthySinceMs === undefined) return state.count;
  return nowMs - state.healthySinceMs >= state.resetAfterMs ? 0 : state.count;
}

/**
 * How long a container that crash-looped must run before it counts as recovered, in milliseconds: twice its last failed
 * run (so one that lives 40 s each time is not called ready after 10 s), at least `minReadyMs`, at most `resetAfterMs`.
 */
export function crashLoopHealthyAfterMs(run: {
  readonly lastFailedRunMs: number;
  readonly minReadyMs: number;
  readonly resetAfterMs: number;
}): number {
  return Math.min(Math.max(2 * run.lastFailedRunMs, run.minReadyMs), run.resetAfterMs);
}

/** Milliseconds until `nextRetryAtMs`, never negative; 0 when there is none. */
export function remainingMs(nextRetryAtMs: number | undefined, nowMs: number): number {
  return nextRetryAtMs === undefined ? 0 : Math.max(0, nextRetryAtMs - nowMs);
}

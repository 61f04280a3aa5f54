/**
 * Conditions, computed anew in every pass. kstatus, `kubectl wait` and Flux need: observedGeneration on each,
 * lastTransitionTime that moves only with status, and Reconciling, Stalled and Suspended present only while True
 * (kubernetes-sigs/cli-utils, pkg/kstatus/README.md). Since nothing is carried over but lastTransitionTime, no message
 * outlives its cause. All functions here are pure.
 */
import type { Condition } from "../kube/types.ts";

/** What a pass says about one condition; the rest of a Condition is filled in by {@link rebuildConditions}. */
export interface ConditionInput {
  readonly type: string;
  readonly status: Condition["status"];
  /** CamelCase, not empty. */
  readonly reason: string;
  readonly message: string;
}

/** Conditions whose presence is itself the news: left out unless their status is True. */
export const ABNORMAL_TRUE: ReadonlySet<string> = new Set(["Reconciling", "Stalled", "Suspended"]);

/** Longest message the metav1.Condition schema accepts, in characters. */
export const LONGEST_MESSAGE = 32_768;

/** Where {@link rebuildConditions} cuts a message unless told otherwise: what `kubectl describe` shows legibly. */
export const DEFAULT_LONGEST_MESSAGE = 1024;

/** Readers look for these first; all other types follow in alphabetical order. */
const FIRST = ["Ready", "Reconciling", "Stalled", "Suspended", "Accepted", "Synced", "DeviceReachable"];

/** How {@link rebuildConditions} fills in what a {@link ConditionInput} leaves open. */
export interface RebuildOptions {
  /** The generation that the pass looked at. */
  readonly observedGeneration: number;
  /** Wall-clock milliseconds; becomes lastTransitionTime where a status changes. */
  readonly nowMs: number;
  /** Longest message in characters, at most {@link LONGEST_MESSAGE}. Default {@link DEFAULT_LONGEST_MESSAGE}. */
  readonly longestMessage?: number;
}

/**
 * The conditions to write.
 *
 * @param previous those on the object now; only their status and lastTransitionTime are used.
 * @param wanted what this pass says; where a type comes twice the later one counts.
 * @returns one condition for each wanted type (less the absent abnormal-true ones) in a fixed order, whatever the order of
 * `wanted`. Types not wanted are gone.
 */
export function rebuildConditions(
  previous: readonly Condition[] | undefined,
  wanted: readonly ConditionInput[],
  options: RebuildOptions,
): Condition[] {
  const longestMessage = Math.min(options.longestMessage ?? DEFAULT_LONGEST_MESSAGE, LONGEST_MESSAGE);
  const before = new Map(previous?.map((condition) => [condition.type, condition]));
  const byType = new Map(wanted.map((condition) => [condition.type, condition]));
  return Array.from(byType.values())
    .filter((condition) => condition.status === "True" || !ABNORMAL_TRUE.has(condition.type))
    .sort((a, b) => compareTypes(a.type, b.type))
    .map((condition) => {
      const old = before.get(condition.type);
      return {
        type: condition.type,
        status: condition.status,
        observedGeneration: options.observedGeneration,
        lastTransitionTime: old?.status === condition.status ? old.lastTransitionTime : formatTime(options.nowMs),
        reason: condition.reason,
        message: truncateMessage(condition.message, longestMessage),
      };
    });
}

/** The condition of a type; undefined if absent. */
export function findCondition(conditions: readonly Condition[] | undefined, type: string): Condition | undefined {
  return conditions?.find((condition) => condition.type === type);
}

/** Whether the condition of a type is present and True, at `generation` where one is given. */
export function isConditionTrue(
  conditions: readonly Condition[] | undefined,
  type: string,
  generation?: number,
): boolean {
  const condition = findCondition(conditions, type);
  return condition?.status === "True" && (generation === undefined || condition.observedGeneration === generation);
}

/** One change of a condition's status, for the log line and the event that a transition deserves. */
export interface ConditionTransition {
  readonly type: string;
  /** undefined: the condition was absent. */
  readonly from: Condition["status"] | undefined;
  /** undefined: the condition is gone. */
  readonly to: Condition["status"] | undefined;
  /** Those of the new condition; of the old one where it is gone. */
  readonly reason: string;
  readonly message: string;
}

/** The changes of status from `previous` to `next`, in the order of `next`, those that are gone last. */
export function conditionTransitions(
  previous: readonly Condition[] | undefined,
  next: readonly Condition[],
): ConditionTransition[] {
  const transitions: ConditionTransition[] = [];
  for (const { type, status, reason, message } of next) {
    const from = findCondition(previous, type)?.status;
    if (from !== status) transitions.push({ type, from, to: status, reason, message });
  }
  for (const { type, status, reason, message } of previous ?? []) {
    if (findCondition(next, type) === undefined)
      transitions.push({ type, from: status, to: undefined, reason, message });
  }
  return transitions;
}

/**
 * `message` cut to `longest` characters with an ellipsis as the last one. Characters are code points, as the API server
 * counts them, so no surrogate pair is split; lone surrogates, which JSON in UTF-8 cannot carry, become U+FFFD.
 */
export function truncateMessage(message: string, longest: number): string {
  const wellFormed = message.toWellFormed();
  // A string has at least as many UTF-16 units as code points: the common case needs no counting.
  if (wellFormed.length <= longest) return wellFormed;
  const characters = Array.from(wellFormed);
  return characters.length <= longest ? wellFormed : `${characters.slice(0, Math.max(0, longest - 1)).join("")}…`;
}

/** RFC 3339 in UTC with whole seconds: metav1.Time. */
export function formatTime(wallMs: number): string {
  return `${new Date(wallMs).toISOString().slice(0, 19)}Z`;
}

function compareTypes(a: string, b: string): number {
  const difference = rank(a) - rank(b);
  if (difference !== 0) return difference;
  return a < b ? -1 : a > b ? 1 : 0;
}

function rank(type: string): number {
  const index = FIRST.indexOf(type);
  return index < 0 ? FIRST.length : index;
}

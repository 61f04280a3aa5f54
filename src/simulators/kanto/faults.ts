// Rules that spoil what passes between the daemon and the broker, for tests and demos. A rule waits for the messages it names, lets `skip` of
// them pass, spoils the next `times`, and is spent. What happens to the device as a whole (offline, crash, reboot, ports, pulls) is in device.ts.

/** When, in the course of a command, something strikes. */
export type Moment =
  /** Before it is executed. */
  | "received"
  /** After it took effect, before its answer. */
  | "executed"
  /** After its answer was acknowledged by the broker, before the daemon acknowledges the command. */
  | "answered";

export type CommandEffect =
  /** Acknowledged and forgotten: nothing is done, nothing answered. */
  | { kind: "lose" }
  /** Done, but never answered. */
  | { kind: "loseReply" }
  /** Nothing else is handled for so long before it is executed. */
  | { kind: "delay"; ms: number }
  /** Done at once, answered so much later; the next command does not wait for that. */
  | { kind: "delayReply"; ms: number }
  | { kind: "duplicateReply" }
  /** The connection breaks without a farewell. */
  | { kind: "disconnect"; when: Moment }
  /** The daemon's process dies and is started again; containers live on. */
  | { kind: "crash"; when: Moment }
  /** Power cut. */
  | { kind: "reboot"; when: Moment };

export interface CommandRule {
  /** Name of the operation, e.g. `createWithConfig`; absent: any. */
  operation?: string;
  /** Text in the feature id, e.g. a container id; absent: any. */
  feature?: string;
  effect: CommandEffect;
  /** Matching commands to let pass first. Default 0. */
  skip?: number;
  /** How many to spoil; `"all"` until cleared. Default 1. */
  times?: number | "all";
}

export type EventEffect =
  | { kind: "drop" }
  | { kind: "delay"; ms: number }
  | { kind: "duplicate" }
  /** Sent at once, but the daemon sees the broker's acknowledgement only so much later, and its next event waits; so does the registration of a new container's feature. */
  | { kind: "slow"; ms: number }
  /** Holds back this many events and lets them go in reverse order. */
  | { kind: "reorder"; count: number };

export interface EventRule {
  /** Text in the path of the twin command, e.g. `/properties/status/state` or a container id; absent: any. */
  path?: string;
  effect: EventEffect;
  skip?: number;
  times?: number | "all";
}

interface Counted<T> {
  rule: T;
  skip: number;
  left: number;
}

/** A list of rules of one kind; the first that matches a message takes it. */
export class RuleList<T extends { skip?: number; times?: number | "all" }> {
  #rules: Counted<T>[] = [];

  add(rule: T): void {
    this.#rules.push({
      rule,
      skip: rule.skip ?? 0,
      left: rule.times === "all" ? Number.POSITIVE_INFINITY : (rule.times ?? 1),
    });
  }

  clear(): void {
    this.#rules = [];
  }

  /** The rule that strikes now, counted down; undefined when none does. */
  take(matches: (rule: T) => boolean): T | undefined {
    for (const counted of this.#rules) {
      if (!matches(counted.rule)) {
        continue;
      }
      if (counted.skip > 0) {
        counted.skip--;
        continue;
      }
      counted.left--;
      this.#rules = this.#rules.filter(({ left }) => left > 0);
      return counted.rule;
    }
    return undefined;
  }
}

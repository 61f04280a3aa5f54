/** What the HTTP fault proxy can do to a request, and how a plan names the request it does it to. */

/** Which requests a rule is for; what is left out matches all. */
export interface RequestMatch {
  method?: string;
  /** Part of the path with query, or a pattern for it. */
  path?: string | RegExp;
  /** Only watches (true) or only other requests (false). */
  watch?: boolean;
}

export type Fault =
  /** Forward only after so many milliseconds. */
  | { do: "delay"; ms: number }
  /** Forward only when the rule's handle is released. */
  | { do: "hold" }
  /** `before`: reset the connection, nothing reaches the server. `after`: the server's answer is complete, the client gets a reset. */
  | { do: "reset"; when: "before" | "after" }
  /** The server does it, the client never hears of it, and the connection stays open. */
  | { do: "swallow" }
  /** Answer in the server's place. */
  | { do: "answer"; status: number; reason?: string; message?: string; retryAfterSeconds?: number; body?: string }
  /** Pass so many lines of the answer on, then nothing more, without closing: half-open. 0: not even the head. */
  | { do: "stall"; afterLines: number }
  /**
   * Pass so many lines on and the beginning of the next, then break off: `fin` closes the connection without the end of
   * the body, `reset` resets it, `end` ends the body in order.
   */
  | { do: "cut"; afterLines: number; partialBytes: number; how: "fin" | "reset" | "end" }
  /** Pass so many lines on, insert one, go on. */
  | { do: "insert"; afterLines: number; line: object }
  /** Change or drop (undefined) each line of the answer. */
  | { do: "lines"; edit: (line: string, index: number) => string | undefined };

export interface FaultRule {
  match: RequestMatch;
  /** Leave so many matching requests alone first. Default 0. */
  skip?: number;
  /** How many requests it is for. Default 1. */
  times?: number;
  fault: Fault;
}

/** A rule in force. */
export interface RuleHandle {
  /** Requests it was applied to so far. */
  readonly hits: number;
  /** Lets held requests go on, and holds no more. */
  release(): void;
  /** Takes the rule out of force, and releases. */
  remove(): void;
}

export function matches(match: RequestMatch, request: { method: string; path: string; watch: boolean }): boolean {
  if (match.method !== undefined && match.method !== request.method) {
    return false;
  }
  if (match.watch !== undefined && match.watch !== request.watch) {
    return false;
  }
  if (typeof match.path === "string") {
    return request.path.includes(match.path);
  }
  return match.path === undefined || match.path.test(request.path);
}

/** The rules of one proxy. */
export class RuleBook {
  readonly #rules = new Set<ActiveRule>();

  add(rule: FaultRule): RuleHandle {
    const active = new ActiveRule(rule, () => this.#rules.delete(active));
    this.#rules.add(active);
    return active;
  }

  /** The first rule that is for this request; it is used up by one. */
  take(request: { method: string; path: string; watch: boolean }): ActiveRule | undefined {
    for (const rule of this.#rules) {
      if (rule.take(request)) {
        return rule;
      }
    }
    return undefined;
  }

  releaseAll(): void {
    for (const rule of this.#rules) {
      rule.remove();
    }
  }
}

export class ActiveRule implements RuleHandle {
  readonly fault: Fault;
  readonly #rule: FaultRule;
  readonly #forget: () => void;
  readonly #released = Promise.withResolvers<void>();
  #skipped = 0;
  #hits = 0;

  constructor(rule: FaultRule, forget: () => void) {
    this.#rule = rule;
    this.#forget = forget;
    this.fault = rule.fault;
  }

  get hits(): number {
    return this.#hits;
  }

  /** Settles when held requests may go on. */
  get released(): Promise<void> {
    return this.#released.promise;
  }

  release(): void {
    this.#released.resolve();
  }

  remove(): void {
    this.release();
    this.#forget();
  }

  take(request: { method: string; path: string; watch: boolean }): boolean {
    if (!matches(this.#rule.match, request) || this.#hits >= (this.#rule.times ?? 1)) {
      return false;
    }
    if (this.#skipped < (this.#rule.skip ?? 0)) {
      this.#skipped += 1;
      return false;
    }
    this.#hits += 1;
    return true;
  }
}

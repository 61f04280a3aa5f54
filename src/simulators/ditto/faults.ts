// What can go wrong in and around Ditto, for tests and demos. A message rule waits for messages it names, lets `skip` of them pass, spoils the next
// `times`, and is spent.

import { RuleList } from "../kanto/faults.ts";

export type MessageEffect =
  /** Taken, never passed on: 408 when its time is over. */
  | { kind: "lose" }
  /** Passed on; the device's answer gets lost: 408 when its time is over. */
  | { kind: "loseReply" }
  /** Answered with this status in Ditto's words, before (nothing was passed on) or after it was passed on. */
  | { kind: "status"; status: number; when: "before" | "after"; retryAfterS?: number }
  /** The connection breaks without an answer: before anything was passed on, right after that, or once the device has answered. */
  | { kind: "cut"; when: "before" | "after" | "answered" }
  /** Passed on so much later. */
  | { kind: "delay"; ms: number }
  /** The answer is given so much later. */
  | { kind: "delayReply"; ms: number };

export interface MessageRule {
  /** Subject of the message, e.g. `createWithConfig`; absent: any. */
  subject?: string;
  /** Thing id; absent: any. */
  thingId?: string;
  effect: MessageEffect;
  skip?: number;
  times?: number | "all";
}

export class DittoFaults {
  readonly #messages = new RuleList<MessageRule>();
  readonly #twinRules = new RuleList<TwinRule>();
  #gate: PromiseWithResolvers<void> | undefined;
  #streamDrops = 0;
  #streamDuplicates = 0;

  /** How much later than the device's word the twin changes, ms. */
  twinLagMs = 0;
  /** How much later than the twin's change subscribers hear of it, ms. */
  streamLagMs = 0;
  /** Every request but those for a stream is answered with this instead. */
  outage: { status: number; retryAfterS?: number } | undefined;
  /** Streams are open but silent, heart-beats included, as behind a proxy that has lost its server. */
  streamsStalled = false;
  /** How long after a stream's head its subscription takes effect, ms: changes in between are not told on it. */
  subscribeMs = 0;

  message(rule: MessageRule): void {
    this.#messages.add(rule);
  }

  takeMessage(thingId: string, subject: string): MessageEffect | undefined {
    const rule = this.#messages.take(
      (each) =>
        (each.subject === undefined || each.subject === subject) &&
        (each.thingId === undefined || each.thingId === thingId),
    );
    return rule?.effect;
  }

  /** Twin commands whose path contains `path` do not reach the twin, or reach it twice. */
  twin(rule: TwinRule): void {
    this.#twinRules.add(rule);
  }

  /** How often a twin command on this path takes effect. */
  takeTwin(path: string): number {
    const rule = this.#twinRules.take((each) => each.path === undefined || path.includes(each.path));
    return rule === undefined ? 1 : rule.effect === "drop" ? 0 : 2;
  }

  /** Twins change no more, as with a backlog in between, until `releaseTwins`. */
  holdTwins(): void {
    this.#gate ??= Promise.withResolvers<void>();
  }

  releaseTwins(): void {
    this.#gate?.resolve();
    this.#gate = undefined;
  }

  async twinGate(signal: AbortSignal): Promise<void> {
    while (this.#gate && !signal.aborted) {
      await this.#gate.promise;
    }
  }

  /** The next events are not told on any stream. */
  dropStreamEvents(count: number): void {
    this.#streamDrops += count;
  }

  /** The next events are told twice. */
  duplicateStreamEvents(count: number): void {
    this.#streamDuplicates += count;
  }

  /** How often the next event is told. */
  takeStreamEvent(): number {
    if (this.#streamDrops > 0) {
      this.#streamDrops--;
      return 0;
    }
    if (this.#streamDuplicates > 0) {
      this.#streamDuplicates--;
      return 2;
    }
    return 1;
  }

  clear(): void {
    this.#messages.clear();
    this.#twinRules.clear();
    this.releaseTwins();
    this.#streamDrops = 0;
    this.#streamDuplicates = 0;
    this.twinLagMs = 0;
    this.streamLagMs = 0;
    this.subscribeMs = 0;
    this.outage = undefined;
    this.streamsStalled = false;
  }
}

export interface TwinRule {
  path?: string;
  effect: "drop" | "duplicate";
  skip?: number;
  times?: number | "all";
}

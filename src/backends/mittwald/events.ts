/**
 * Read-your-own-writes. A write's answer carries the id of its event in `etag`; sent back as `if-event-reached`, a read is held until the
 * vendor's read model has it, and answered 412 after 10 s (developer portal, "Consistency"). One id is kept per stack and per project: one
 * for the whole account, as the vendor's own client has it, would make reads of one stack wait for writes to another.
 */
import type { BackendClock } from "../contract.ts";

/** An event that was not reached for so long will not be: a restored read model, or an id that was none. */
const FORGOTTEN_AFTER_MS = 3_600_000;
/** Decimal today; whatever it becomes, it goes into a header. */
const EVENT_ID = /^[\x21-\x7e]{1,128}$/;

interface Event {
  id: string;
  atMs: number;
}

export class Events {
  readonly #clock: BackendClock;
  readonly #last = new Map<string, Event>();
  /** Short ids, and what they stand for. */
  readonly #uuids = new Map<string, string>();

  constructor(clock: BackendClock) {
    this.#clock = clock;
  }

  /** @param keys ids of all that the write has changed: its stack and its project. */
  note(keys: readonly string[], etag: string | undefined): void {
    if (etag === undefined || !EVENT_ID.test(etag)) return;
    for (const key of new Set(keys.map((each) => this.#uuids.get(each) ?? each))) {
      const known = this.#last.get(key);
      if (known === undefined || isLater(etag, known.id))
        this.#last.set(key, { id: etag, atMs: this.#clock.monotonic() });
    }
  }

  /**
   * Two names of one project: from now on whatever was written under one is waited for under the other.
   *
   * @returns whether that is news, and something was written under the UUID.
   */
  alias(given: string, uuid: string): boolean {
    if (given === uuid || this.#uuids.get(given) === uuid) return false;
    this.#uuids.set(given, uuid);
    const isBehind = this.#last.has(uuid);
    const event = this.#last.get(given);
    this.#last.delete(given);
    if (event !== undefined) this.note([uuid], event.id);
    return isBehind;
  }

  /** The newest event of any of these; undefined if this process has written nothing lately. */
  after(keys: readonly string[]): string | undefined {
    let newest: string | undefined;
    for (const key of keys.map((each) => this.#uuids.get(each) ?? each)) {
      const event = this.#last.get(key);
      if (event === undefined) continue;
      if (this.#clock.monotonic() - event.atMs >= FORGOTTEN_AFTER_MS) this.#last.delete(key);
      else if (newest === undefined || isLater(event.id, newest)) newest = event.id;
    }
    return newest;
  }
}

/** Ids grow. Of what is no number the one that came last is the newest. */
function isLater(id: string, than: string): boolean {
  return /^\d+$/.test(id) && /^\d+$/.test(than) ? BigInt(id) >= BigInt(than) : true;
}

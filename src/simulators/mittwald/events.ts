// What was written, and what is seen of it. Each write appends an event with an increasing decimal number; reads see a copy that is behind by
// the quirks' lag, unless they wait for an event with `if-event-reached`. https://developer.mittwald.de/docs/v2/api/intro, eventual consistency.

import { sleep, type Clock } from "../clock.ts";
import type { Random } from "../random.ts";
import type { Quirks, RegistryBody, ServiceBody, StackBody, VolumeBody } from "./types.ts";

/** A read waits so long for its event. */
const HOLD_MS = 10_000;
const STEP_MS = 100;
/** Of the size that real ones have. */
const FIRST_EVENT = 276_638_689_419_853_824n;

interface Rows {
  stacks: StackBody;
  services: ServiceBody;
  volumes: VolumeBody;
  registries: RegistryBody;
}

type Table = keyof Rows;

/** A row as it is from now on; undefined: it is gone. */
export type Change = { [T in Table]: { table: T; id: string; row: Rows[T] | undefined } }[Table];

/** `stack`: what is read by a stack. `list`: the lists of a project. */
export type ViewName = "stack" | "list";

const VIEWS: readonly ViewName[] = ["stack", "list"];

/** What is seen at present, in the order of creation. */
export type View = { readonly [T in Table]: ReadonlyMap<string, Rows[T]> };

interface LoggedEvent {
  id: bigint;
  atMs: number;
  changes: readonly Change[];
}

class Projection {
  readonly rows: { [T in Table]: Map<string, Rows[T]> } = {
    stacks: new Map(),
    services: new Map(),
    volumes: new Map(),
    registries: new Map(),
  };
  reached = 0n;
  readonly waiting: LoggedEvent[] = [];

  apply(event: LoggedEvent): void {
    for (const change of event.changes) put(this.rows, change);
    this.reached = event.id;
  }
}

function put(rows: Projection["rows"], change: Change): void {
  // One case each, so that the compiler sees which rows belong to which table.
  switch (change.table) {
    case "stacks":
      set(rows.stacks, change.id, change.row);
      return;
    case "services":
      set(rows.services, change.id, change.row);
      return;
    case "volumes":
      set(rows.volumes, change.id, change.row);
      return;
    case "registries":
      set(rows.registries, change.id, change.row);
      return;
    default:
      change satisfies never;
  }
}

function set<Row>(rows: Map<string, Row>, id: string, row: Row | undefined): void {
  if (row === undefined) rows.delete(id);
  else rows.set(id, row);
}

export class EventLog {
  readonly #clock: Clock;
  readonly #quirks: Quirks;
  readonly #random: Random;
  readonly #views = { stack: new Projection(), list: new Projection() };
  /** The same further behind (quirk olderReadsMs). */
  readonly #replica = { stack: new Projection(), list: new Projection() };
  #reads = 0;
  #isOlder = false;
  #last = FIRST_EVENT;

  constructor(clock: Clock, quirks: Quirks, random: Random) {
    this.#clock = clock;
    this.#quirks = quirks;
    this.#random = random;
  }

  /** @returns the event's id */
  append(changes: readonly Change[]): string {
    this.#last += BigInt(1 + this.#random.integer(5000));
    const event = { id: this.#last, atMs: this.#clock.now(), changes };
    for (const name of VIEWS) {
      this.#views[name].waiting.push(event);
      this.#replica[name].waiting.push(event);
      this.#catchUp(name);
    }
    return String(this.#last);
  }

  view(name: ViewName): View {
    return this.#catchUp(name, this.#isOlder).rows;
  }

  /** A read that waits for nothing: under the quirk every second one sees the replica. */
  anyReplica<Result>(read: () => Result): Result {
    this.#isOlder = this.#quirks.olderReadsMs > 0 && ++this.#reads % 2 === 0;
    try {
      return read();
    } finally {
      this.#isOlder = false;
    }
  }

  /**
   * Waits until a view shows an event, at most ten seconds.
   * @param event as it was sent; one that is no number, or that never was, is not reached
   * @returns whether it is reached
   */
  async reached(name: ViewName, event: string, signal: AbortSignal): Promise<boolean> {
    const wanted = /^\d{1,30}$/.test(event) ? BigInt(event) : undefined;
    const isThere = (): boolean => wanted !== undefined && this.#catchUp(name).reached >= wanted;
    const deadline = this.#clock.now() + HOLD_MS;
    while (!isThere()) {
      const left = deadline - this.#clock.now();
      if (left <= 0 || !(await sleep(this.#clock, Math.min(left, STEP_MS), signal))) return false;
    }
    return true;
  }

  #catchUp(name: ViewName, isOlder = false): Projection {
    const view = (isOlder ? this.#replica : this.#views)[name];
    const { lagMs, listLagMs, olderReadsMs, readsStuck } = this.#quirks;
    const until = this.#clock.now() - lagMs - (name === "list" ? listLagMs : 0) - (isOlder ? olderReadsMs : 0);
    if (readsStuck) return view;
    for (let next = view.waiting[0]; next !== undefined && next.atMs <= until; next = view.waiting[0]) {
      view.waiting.shift();
      view.apply(next);
    }
    return view;
  }
}

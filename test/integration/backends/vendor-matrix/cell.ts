/**
 * One cell of the matrix: one wish of a user, one fault, and the oracle of both. Whatever the fault does, some time after it has ended
 *  - what the vendor has, and what the object's status says, is what the undisturbed run ends with;
 *  - by the vendor's books each effect happened exactly once, or as often as the fault itself undid it;
 *  - what people have at the vendor is as they left it;
 *  - no hour saw more requests than the few that looking costs, and then nothing is written any more;
 *  - no Secret's value is in anything that the operator said or wrote;
 *  - the fault did strike.
 */
import { expect } from "vitest";
import { HOUR_MS, SECRETS, type Stage, type Vendor } from "./stage.ts";

/** A fault that ends by itself has ended, and every pause that it caused is over, ms. */
const AFTERWARDS_MS = 2 * HOUR_MS;

/** What a user wants, from where. */
export interface Row<V extends Vendor> {
  readonly name: string;
  /** Brings everything to where the wish is made. */
  before(stage: Stage<V>): Promise<void>;
  wish(stage: Stage<V>): void;
  /** Whether the vendor is at work on it: where a fault in the middle strikes. Undefined: there is no middle. */
  readonly isUnderWay?: (vendor: V) => boolean;
  /** Effects of it and of what was before it, by the vendor's books, if nothing befalls it. */
  readonly effects: number;
  /** Kinds of requests that it takes. */
  readonly requests: readonly string[];
}

/** What befalls it. */
export interface Fault<V extends Vendor> {
  readonly name: string;
  /** Before the wish, or while the vendor is at work on it. */
  readonly when: "before" | "during";
  /** @returns how to tell whether it has struck; where that is not told it surely has. */
  strike(stage: Stage<V>, row: Row<V>): void | (() => boolean) | Promise<void | (() => boolean)>;
  /** How long it lasts, ms. Default 0. */
  readonly lastsMs?: number;
  heal?(stage: Stage<V>): void | Promise<void>;
  /** It is people's doing, and they are done with it so long after it strikes, and at once when it ends, ms. */
  readonly peopleMs?: number;
  /** The rows that it has anything to do with. Default: all. */
  concerns?(row: Row<V>): boolean;
  /** What may be otherwise in the end because of it: effects more than in the undisturbed run. Default 0. */
  more?(row: Row<V>): number;
}

/** What is judged of a run. */
export interface Ending {
  /** To be equal to the undisturbed run's. */
  readonly state: unknown;
  /** How often something was made, changed or begun, by the vendor's books. */
  readonly effects: number;
  /** What people have there. */
  readonly theirs: unknown;
}

export interface Subject<V extends Vendor> {
  open(): Promise<Stage<V>>;
  /** By the vendor's books and the object. */
  ending(stage: Stage<V>): Ending;
  /** What must hold at every moment; throws where it does not. */
  invariant?(stage: Stage<V>): void;
  /** Most requests of any hour. */
  readonly mostPerHour: number;
}

/** Runs a row without a fault. */
export function runUndisturbed<V extends Vendor>(subject: Subject<V>, row: Row<V>): Promise<Ending> {
  return run(subject, row, undefined, undefined);
}

/** Runs a cell. @param undisturbed how the row ends without a fault. */
export async function runCell<V extends Vendor>(
  subject: Subject<V>,
  row: Row<V>,
  fault: Fault<V>,
  undisturbed: Ending,
): Promise<void> {
  await run(subject, row, fault, undisturbed);
}

async function run<V extends Vendor>(
  subject: Subject<V>,
  row: Row<V>,
  fault: Fault<V> | undefined,
  undisturbed: Ending | undefined,
): Promise<Ending> {
  await using stage = await subject.open();
  await row.before(stage);
  const strike = async (): Promise<() => boolean> => (await fault?.strike(stage, row)) ?? (() => true);
  let struck = (): boolean => fault === undefined;
  if (fault?.when === "before") struck = await strike();
  row.wish(stage);
  stage.operator.wake();
  if (fault?.when === "during") {
    const { isUnderWay } = row;
    if (isUnderWay === undefined) throw new Error(`${row.name} has no middle`);
    await stage.until(() => isUnderWay(stage.vendor), "the middle of it");
    struck = await strike();
  }
  const { peopleMs = 0, lastsMs = 0 } = fault ?? {};
  await stage.pass(peopleMs);
  let left = subject.ending(stage).theirs;
  await stage.pass(lastsMs);
  if (peopleMs === 0) await fault?.heal?.(stage);
  else {
    expect(subject.ending(stage).theirs, "what people have there").toEqual(left);
    await fault?.heal?.(stage);
    left = subject.ending(stage).theirs;
  }
  await stage.pass(AFTERWARDS_MS);
  const writes = countWrites(stage);
  const busiest = stage.mostPerHour;
  await stage.pass(HOUR_MS);
  const ending = subject.ending(stage);
  if (fault === undefined && !stage.isDone) throw new Error(`not done without any fault: ${stage.describe()}`);
  if (fault === undefined) expect(ending.effects, "effects by the vendor's books").toBe(row.effects);
  if (undisturbed !== undefined) {
    const wrong = differences(undisturbed.state, ending.state);
    if (wrong.length > 0) throw new Error(`it ends otherwise: ${wrong.join("; ")}\n${stage.describe()}`);
    const more = fault?.more?.(row) ?? 0;
    expect(ending.effects, "effects by the vendor's books").toBeGreaterThanOrEqual(undisturbed.effects);
    expect(ending.effects, "effects by the vendor's books").toBeLessThanOrEqual(undisturbed.effects + more);
  }
  expect(ending.theirs, "what people have there").toEqual(left);
  subject.invariant?.(stage);
  expect(countWrites(stage) - writes, "writes at rest").toBe(0);
  expect(busiest, "requests within an hour").toBeLessThanOrEqual(subject.mostPerHour);
  for (const [of, secret] of Object.entries(SECRETS)) {
    const leak = stage.cluster.told.find((line) => line.includes(secret));
    expect(leak, `where the secret ${of} was told`).toBeUndefined();
  }
  if (!struck()) throw new Error("the fault never struck");
  return ending;
}

function countWrites<V extends Vendor>({ vendor }: Stage<V>): number {
  return vendor.requests().filter(({ method }) => method !== "GET").length;
}

/** Where two values of JSON differ, in words. */
function differences(wanted: unknown, is: unknown, path = ""): string[] {
  if (!isTree(wanted) || !isTree(is)) {
    const [a, b] = [JSON.stringify(wanted), JSON.stringify(is)];
    return a === b ? [] : [`${path}: ${b} instead of ${a}`];
  }
  const keys = new Set([...Object.keys(wanted), ...Object.keys(is)]);
  return [...keys].flatMap((key) => differences(wanted[key], is[key], `${path}/${key}`));
}

function isTree(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

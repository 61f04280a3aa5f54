/**
 * What the conformance suite needs of a backend's test world: a vendor simulator with its books and fault switches, a transport that can
 * be cut, and processes of ours that come and go. Each backend brings one (test/integration/backends/<vendor>-harness.ts).
 */
import type {
  Account,
  AccountNotice,
  Backend,
  Command,
  CommandAction,
  CommandOutcome,
  DesiredContainer,
  DeviceSession,
  Marker,
  ObservedContainer,
  SessionEvent,
} from "../../src/backends/contract.ts";

/** A container as the vendor's books have it. */
export interface VendorContainer {
  externalId: string;
  name: string;
  running: boolean;
  exists: boolean;
  /** How often its process was started. */
  starts: number;
}

/** One process of Drayage with its own account and session. */
export interface ConformanceProcess {
  readonly backend: Backend;
  readonly account: Account;
  readonly session: DeviceSession;
  /** Settable: whether this process may write. */
  readonly fence: { held: boolean };
  /** Every event of the session so far. */
  readonly events: SessionEvent[];
  readonly notices: AccountNotice[];
  /** Every log line so far, as JSON. */
  readonly logged: string[];
  /** Malformed input counted so far. */
  readonly malformed: string[];
  /** Ends it as a kill would: nothing is recalled. */
  kill(): Promise<void>;
}

export interface ConformanceWorld {
  /** Images with these behaviours exist: `sleeper` runs, `slow` takes long to pull, `crasher` fails by itself, `absent` and `private` cannot be pulled, `broken` cannot be started. */
  image(behaviour: "sleeper" | "slow" | "crasher" | "absent" | "private" | "broken"): string;
  /** How long a pull of `slow` takes, ms. */
  readonly slowMs: number;
  containers(): VendorContainer[] | Promise<VendorContainer[]>;
  everCreated(): VendorContainer[] | Promise<VendorContainer[]>;
  /** Mutating commands of ours that reached the vendor, by name of the kind. */
  received(): string[];
  start(fence?: { held: boolean }): Promise<ConformanceProcess>;
  human: { create(name: string): Promise<string>; remove(externalId: string): Promise<void> };
  faults: {
    /** The next create is executed, its answer lost. */
    loseReply(): void;
    duplicateReply(): void;
    /** The next create vanishes before it is executed. */
    loseCommand(): void;
    /** The next create is executed; our connection ends before we learn that it was taken. */
    cutBeforeAcknowledgement(): void;
    /** The next create never reaches the vendor: our connection ends before it is written. */
    cutBeforeArrival(): void;
    /** Our connections end now. */
    cut(): void;
    /** The device restarts in the middle of what it does. */
    reboot(): Promise<void>;
    /** The device's own connection breaks; it comes back at once. */
    disconnectDevice(): void;
    /** The device is out of reach. */
    offline(): void;
    online(): void;
    /** Somebody else takes this port of the device. */
    holdPort(port: number): void | Promise<void>;
    /** Sends everything malformed that this vendor's input can be. */
    malformed(): Promise<void>;
  };
  /** How many of the faults on creates have struck so far; a test of one that never did would prove nothing. */
  struck(): number;
  /** How often the vendor was made to tell everything. */
  inventoriesForced(): number;
  close(): Promise<void>;
}

export const MARKER: Marker = {
  owner: "owner-1",
  namespace: "default",
  name: "web",
  uid: "uid-1",
  operation: "op-1",
  hash: "k1:abc",
};

/** Guards against a hang only; conditions are met within milliseconds to seconds. */
const DEADLINE_MS = 45_000;

/** Waits until a condition holds. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export function desired(image: string, spec: Partial<DesiredContainer["spec"]> = {}, name = "web"): DesiredContainer {
  const env = (spec.env ?? []).flatMap((entry) =>
    entry.value === undefined ? [] : [{ name: entry.name, value: entry.value }],
  );
  return { name, image, state: "Running", env, spec: { deviceRef: { name: "device" }, ...spec } };
}

let commands = 0;

/** Sends a command that must be accepted, and waits for how it ends. */
export async function run(
  process: ConformanceProcess,
  action: CommandAction,
  commandId?: string,
): Promise<CommandOutcome> {
  commands += 1;
  const command: Command = { ...action, commandId: commandId ?? `command-${commands}`, key: "default/web" };
  const dispatch = process.session.execute(command);
  if (!dispatch.sent) throw new Error(`not sent: ${dispatch.reason} ${JSON.stringify(dispatch.failure)}`);
  return dispatch.outcome;
}

/** Sends a command that must succeed. */
export async function succeed(process: ConformanceProcess, action: CommandAction, commandId?: string): Promise<string> {
  const outcome = await run(process, action, commandId);
  if (outcome.result !== "Succeeded") throw new Error(`${action.kind} ended as ${JSON.stringify(outcome)}`);
  return outcome.externalId ?? "";
}

/** Sends a command that must succeed, again if it was provably lost or cannot be sent just now. */
export async function succeedInTheEnd(process: ConformanceProcess, action: CommandAction): Promise<void> {
  let under = false;
  let ended: CommandOutcome | undefined;
  await until(() => {
    if (ended?.result === "Lost") ended = undefined;
    if (ended !== undefined || under) return ended !== undefined;
    commands += 1;
    const dispatch = process.session.execute({ ...action, commandId: `command-${commands}`, key: "default/web" });
    if (dispatch.sent) {
      under = true;
      void dispatch.outcome.then((outcome) => {
        under = false;
        return (ended = outcome);
      });
    }
    return false;
  }, `the end of ${action.kind}`);
  if (ended?.result !== "Succeeded") throw new Error(`${action.kind} ended as ${JSON.stringify(ended)}`);
}

export function container(process: ConformanceProcess, externalId: string): ObservedContainer | undefined {
  return process.session.snapshot().containers.find((each) => each.externalId === externalId);
}

export async function synced(process: ConformanceProcess): Promise<void> {
  await until(() => process.session.snapshot().synced, "a full inventory");
}

/** What an operation made, by its marker. */
export function madeBy(process: ConformanceProcess, operation: string): ObservedContainer | undefined {
  return process.session.snapshot().containers.find((each) => each.marker?.operation === operation);
}

/**
 * What a reconciler does with a create, whatever befalls it: send when nothing is open, settle, look, repeat only if it is proven that
 * nothing was made.
 *
 * @returns the container's id.
 */
export async function createOnce(
  process: ConformanceProcess,
  wanted: DesiredContainer,
  operation = MARKER.operation,
): Promise<string> {
  let attempt = 0;
  let outcome: Promise<CommandOutcome> | undefined;
  let ended: CommandOutcome | undefined;
  await until(() => {
    const snapshot = process.session.snapshot();
    if (outcome !== undefined && ended === undefined) return false;
    if (attempt > 0 && process.session.settle(operation) === "Open") return false;
    if (!snapshot.synced) return false;
    if (madeBy(process, operation) !== undefined) return true;
    attempt += 1;
    ended = undefined;
    const dispatch = process.session.execute({
      kind: "Create",
      desired: wanted,
      marker: { ...MARKER, operation },
      commandId: `${operation}.${attempt}`,
      key: "default/web",
    });
    outcome = dispatch.sent ? dispatch.outcome : undefined;
    void outcome?.then((value) => (ended = value));
    return false;
  }, `the container of ${operation}`);
  return madeBy(process, operation)?.externalId ?? "";
}

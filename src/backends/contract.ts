/**
 * src/backends talks to vendors. This file is the contract between them and the rest of Drayage: what a backend takes, what
 * it gives back and, above all, what it guarantees. One folder per vendor implements it (kanto/, later alpon/, hiveon/,
 * mittwald/); test/conformance holds every implementation to the guarantees written here.
 *
 * A backend knows no Kubernetes: it neither sees objects nor writes status. It is told what is wanted in the words of
 * `DesiredContainer`, and tells what there is in the words of `ObservedContainer`.
 *
 * Guarantees of a backend
 *  G1  At most one mutating command is in flight per device, and at most one barrier behind it. `execute` refuses the next.
 *  G2  A command reaches the vendor at most once. Nothing stores, queues or resends it, whatever the transport does.
 *  G3  The fence is checked in the same turn of the event loop as the write to an already open connection.
 *  G4  The success of a command is never taken from its reply alone: the inventory is what was observed.
 *  G5  A deadline changes what is reported (`overdue`), never what is in flight: the slot of a command is freed only by its
 *      reply, or by proof that it ended or never arrived (`settle`).
 *  G6  Every failure leaves as one of the closed union in errors.ts; no vendor text decides anything above this room.
 *  G7  Malformed input from a device is dropped, counted and logged once; it never throws out of the backend.
 *  G8  A secret value never appears in an error, a log line, a difference or a capability.
 */
import type { EdgeBackendSpec } from "../crds/edge-backend.ts";
import type { EdgeContainerSpec } from "../crds/edge-container.ts";
import type { EdgeDeviceSpec } from "../crds/edge-device.ts";
import type { BackendFailure } from "./errors.ts";
import type { RegistryKeeper } from "./registry-contract.ts";
import type { StackKeeper } from "./stack-contract.ts";

/** The vendor of a backend: the key of its block in EdgeBackend.spec. */
export type BackendType = "kanto" | "alpon" | "hiveon" | "mittwald";

/** The mark that a vendor keeps for us on each container: how a container is known as ours after anything was lost. */
export interface Marker {
  /** Installation id (option --owner-id). */
  owner: string;
  namespace: string;
  name: string;
  /** metadata.uid of the EdgeContainer that had it made. */
  uid: string;
  /** Id of the journalled operation (status.operation.id) that made it. */
  operation: string;
  /** Keyed hash of everything that needs a new container; begins with its key's id and a colon. */
  hash: string;
}

/** What is wanted on a device: the spec with defaults applied, references resolved and names decided. */
export interface DesiredContainer {
  /** Name on the device. */
  name: string;
  /** Fully qualified image reference. */
  image: string;
  state: "Running" | "Stopped" | "Paused";
  /** Environment in the order of the spec, envFrom first, every reference resolved. Values may be secret. */
  env: readonly { readonly name: string; readonly value: string }[];
  /** spec.startupScript, resolved; only where Planner.resolves asks for it. May be secret. */
  startupScript?: string;
  /** Credentials for the image's registry out of spec.registryRefs and spec.imagePullSecrets; only where Planner.resolves asks for them. */
  registryAuth?: RegistryAuth;
  /** backendOptions.kanto.decryption, resolved. Values may be secret. */
  decryption?: { readonly keys: readonly string[]; readonly recipients: readonly string[] };
  /** The spec as the user wrote it; env, envFrom, image, name and desiredState are superseded by the fields above. */
  spec: EdgeContainerSpec;
}

/** Login at a registry. No part of a container's identity: it counts at the next pull or rental only. */
export interface RegistryAuth {
  /** As the Secret spells it, e.g. registry.example:5000. */
  server: string;
  username: string;
  password: string;
}

/** One run of a container's process, as far as it was seen. */
export interface Run {
  /** RFC 3339 by the device's clock; identifies the run. */
  startedAt: string;
  finishedAt?: string;
  exitCode?: number;
  oomKilled?: boolean;
  /** True if it ended because a stop, restart or remove was asked for by anyone over the vendor's API. */
  stopped?: boolean;
}

/** Created: never started. Stopped: ended by command (or its start failed). Exited: ended by itself, whatever its exit code. */
export type RunState = "Created" | "Running" | "Paused" | "Stopped" | "Exited" | "Dead" | "Unknown";

/** A host port that a container claims. */
export interface HostPort {
  hostIP: string;
  hostPort: number;
  /** Inclusive; equal to hostPort without a range. */
  hostPortEnd: number;
  protocol: string;
}

/** One container as last observed on a device. Plain data, never changed after it was handed out. */
export interface ObservedContainer {
  /** The vendor's id. */
  externalId: string;
  name: string;
  image: string;
  /** What of that image runs, where the vendor tells. */
  imageDigest?: string;
  /** Our marker, if it carries one that parses; whose it is, the caller decides. */
  marker?: Marker;
  state: RunState;
  /** Vendor's error text of the present state, already cleared of texts known to be misleading. */
  error?: string;
  exitCode?: number;
  oomKilled?: boolean;
  startedAt?: string;
  finishedAt?: string;
  createdAt?: string;
  /** Number of the rental, from 1 (Planner.rentals). */
  attempt?: number;
  /** The newest runs that were seen, oldest first, at most 20; also over states that passed between two looks. */
  runs: readonly Run[];
  /** Restarts as counted by the vendor, where it counts. */
  restartCount?: number;
  /** Clock.now() when the present state (with this startedAt) was first seen by this process. */
  stateSinceMs: number;
  /** Clock.now() of the look that it was seen in, where the vendor is asked from time to time. Absent: the vendor tells of each change at once. */
  seenMs?: number;
  hostPorts: readonly HostPort[];
  /** Why it does not run although the device means to: the device's own word (a kubelet's reason where it has one) and sentence. */
  waiting?: { readonly reason: string; readonly message: string };
  /** True where the account can list nothing: it is only what the vendor has answered to our own commands. */
  unverified?: boolean;
  /** The vendor's own configuration, in the backend's own form; only its Planner reads it. */
  config: unknown;
}

/** Something beside containers that a device has. */
export interface ObservedVolume {
  externalId: string;
  name: string;
  /** A container of the device mounts it. */
  isUsed: boolean;
}

/** Connected: answers. Busy: silent while a command of ours runs within its timeout. Offline: gone. Unknown: not yet known. */
export type ConnectionState = "Connected" | "Busy" | "Offline" | "Unknown";

/** A device as last observed. */
export interface DeviceSnapshot {
  connection: ConnectionState;
  /** Clock.now() of the last sign of life. */
  lastSeenMs?: number;
  /** Why it is not Connected, or why the inventory is not complete; for people. */
  message?: string;
  /**
   * True when `containers` is complete: a full inventory has arrived since this session, the connection to the vendor and
   * the device last (re)started. While false, absence from `containers` means nothing.
   */
  synced: boolean;
  /** Grows with every full inventory. */
  syncCount: number;
  /**
   * The container that the claim records is not in `containers`, and that proves nothing yet: this session has never seen it, and what a
   * former process has made may still come to light, until the settle time is over. A Synced event follows.
   */
  isAbsenceOpen?: boolean;
  /** While not synced: why waiting alone will hardly help, and what somebody has to do; for people. */
  obstacle?: string;
  containers: readonly ObservedContainer[];
  /** Named volumes, where the vendor lists them; as complete as `containers`. */
  volumes?: readonly ObservedVolume[];
  /** What else there is beside the containers that nobody has declared here, e.g. other stacks of a project; for people. */
  others?: readonly { externalId: string; name: string; kind: "Stack" | "Volume" }[];
  /** The command in flight, if any. */
  inFlight?: InFlight;
}

/** What a container uses, as its device reported last; what was not reported is absent. Values are finite and not negative. */
export interface ContainerUsage {
  /** Processor time since the report before, as a share of all processors of the device: 1 is all of them. */
  readonly cpuRatio?: number;
  /** Memory, without what the system could reclaim at once. */
  readonly memoryUsedBytes?: number;
  /** Its memory limit, or the device's memory where that is less. */
  readonly memoryLimitBytes?: number;
  /** Read from and written to block devices since the container's start. */
  readonly ioReadBytes?: number;
  readonly ioWrittenBytes?: number;
  /** Received and sent over the network since the container's start. */
  readonly networkReceivedBytes?: number;
  readonly networkTransmittedBytes?: number;
  /** Processes and threads. */
  readonly pids?: number;
}

/** The command that holds a device's slot. */
export interface InFlight {
  commandId: string;
  kind: Command["kind"];
  sentAtMs: number;
  /** Its timeout has passed without a reply; a barrier decides (G5). */
  overdue: boolean;
  /** How far the device is, where the vendor tells; percent in steps of 10. A Container event tells of each change. */
  progress?: { stage: "Downloading" | "Unpacking" | "Starting"; percent?: number };
}

/** What a command does. One command is one effect at the vendor. */
export type CommandAction =
  /**
   * Makes the container, never started, with the marker. Not idempotent: only ever sent for a journalled operation. Where
   * containers are rentals it begins the rental number `attempt`, and with it the container runs.
   */
  | { kind: "Create"; desired: DesiredContainer; marker: Marker; attempt?: number }
  | { kind: "Start"; externalId: string }
  | { kind: "Stop"; externalId: string; signal: string; timeoutSeconds: number; force: boolean }
  | { kind: "Pause"; externalId: string }
  | { kind: "Resume"; externalId: string }
  | { kind: "Rename"; externalId: string; name: string }
  /** In-place change. `payload` is the backend's own form, made by its Planner. */
  | { kind: "Update"; externalId: string; payload: unknown; paths: readonly string[] }
  | { kind: "Remove"; externalId: string };

/** An action, addressed. */
export type Command = CommandAction & {
  /** Unique for each send. Creates: `<operation id>.<attempt>`. */
  commandId: string;
  /** Whom to tell: the caller's own key, handed back in SessionEvent and CommandOutcome. */
  key: string;
};

/** How a command ended. */
export type CommandOutcome = { commandId: string; kind: Command["kind"]; externalId?: string } & (
  | { result: "Succeeded" }
  | { result: "Failed"; failure: BackendFailure }
  /** Proven: it ended without a reply that reached us, or never arrived. The inventory tells which (G4). */
  | { result: "Lost" }
);

/** What `execute` did with a command. Refused commands never left the process. */
export type Dispatch =
  | { sent: true; outcome: Promise<CommandOutcome> }
  | {
      sent: false;
      failure: BackendFailure;
      reason: "SlotBusy" | "Offline" | "NotSynced" | "Fenced" | "Invalid" | "Closed";
    };

/** "Look again": which container, device or command something happened to. Carries no state (level-triggered). */
export type SessionEvent =
  | { type: "Container"; externalId: string; marker?: Marker }
  | { type: "Connection"; state: ConnectionState }
  | { type: "Synced" }
  | { type: "Outcome"; key: string; outcome: CommandOutcome }
  /** The slot was freed: whoever was refused with SlotBusy may try again. */
  | { type: "SlotFree" };

/**
 * Where the vendor has no list (Planner.rentals), or an account may not have it (Planner.claims): an object whose rentals are to be looked up, and what is known of them.
 * An object's rentals are numbered from 1, and each number stands for an id that can be computed again from the names alone.
 */
export interface Claim {
  owner: string;
  namespace: string;
  name: string;
  /** The rental that status records. */
  recorded?: {
    externalId: string;
    attempt: number;
    startedAt?: string;
    /** It was seen to have ended, or a person has confirmed that it has. */
    ended?: boolean;
    /** The vendor has accepted its start and was never seen to know it. */
    unseen?: boolean;
    /** The credentials with which it was recorded, where they are others than the account's; opaque, no secret. */
    under?: string;
  };
  /** The journalled operation, if one is open; `under` as above; a person may have confirmed that it made nothing. */
  operation?: { id: string; attempt: number; under?: string; madeNothing?: boolean };
  /** Name on the device that the object's container would have (Planner.claims). */
  containerName?: string;
  /** status.external.id (Planner.claims). */
  recordedId?: string;
  /** status.external.marked: that container has been seen with the object's mark, so it is not one that was only looked at (Planner.claims). */
  isRecordedMarked?: boolean;
  /** Image whose tag is to be looked at from time to time: imagePullPolicy is Always (Planner.claims). */
  watchedImage?: string;
}

/** Which part of a log is wanted. */
export interface LogOptions {
  /** The last so many lines of what there is. Default: the backend's own, at least 1000. */
  tailLines?: number;
  /** Only from then on, ms since the epoch; counts only where lines begin with a time. */
  sinceMs?: number;
  /** Goes on until the signal aborts. */
  follow?: boolean;
  /** Ends it. */
  signal?: AbortSignal;
}

/** A device's session: its inventory and its single command slot. */
export interface DeviceSession {
  /** Locks, inventories and limits are keyed by this: endpoint and resolved target, not Kubernetes names. */
  readonly targetKey: string;
  /**
   * The inventory as it is now. Synchronous; no answer is waited for.
   *
   * @param of counts only where the vendor has no list. From this call on the object's rentals are looked up and followed;
   *   `synced` says whether every one that is recorded or may exist has been looked up since the account was last connected,
   *   and `containers` holds the object's newest ended rental beside all that have not ended. Without `of`, `synced` speaks
   *   for all objects named so far, and only rentals that have not ended are listed.
   */
  snapshot(of?: Claim): DeviceSnapshot;
  /** Registers a listener; returns how to remove it. Listeners are called after the inventory changed and must not throw. */
  subscribe(listener: (event: SessionEvent) => void): () => void;
  /**
   * Sends one command if the slot is free, the device is not offline, the inventory is synced and the fence holds (G1-G3).
   * Never waits and never throws for anything a device or vendor does. The outcome also arrives as an event.
   */
  execute(command: Command): Dispatch;
  /**
   * Whether everything that was ever sent for this operation, by this or a former process, has ended or never arrived, so
   * that a synced inventory tells its outcome. Starts what is needed to prove it (Kanto: one barrier, then a full sync) and
   * answers "Open" until then; a SessionEvent follows. "Closed" once is not "Closed" for ever: a new send opens it again.
   */
  settle(operationId: string): "Open" | "Closed";
  /** Asks for a full inventory soon, coalesced; answers with a Synced event. */
  resync(reason: string): void;
  /** The object of these names is gone, and with it the claim: nothing is kept or looked up for it any more. Absent where nothing is. */
  forget?(of: Pick<Claim, "owner" | "namespace" | "name">): void;
  /**
   * Takes over what may change of a device's spec while its session lives, e.g. whether it reports metrics. Idempotent; called in each
   * pass. Absent where nothing may.
   */
  configure?(device: EdgeDeviceSpec): void;
  /**
   * What the device's containers use, by external id: only of those that run or are paused, only if the spec asks for it, and nothing that
   * is out of date. Absent where the vendor reports nothing.
   */
  usage?(): ReadonlyMap<string, ContainerUsage>;
  /**
   * The lines that a container's process wrote, oldest first. They may hold secrets: they go to whoever asked, and nowhere else. Absent where
   * the vendor keeps none. Iterating rejects with an Error that carries `failure` if they cannot be had.
   */
  logs?(externalId: string, options: LogOptions): AsyncIterable<string>;
  /**
   * Ends the session: no further event. A command in flight is abandoned, not recalled.
   *
   * @param reason `Left` (default): the device is given up, so what was asked of it is called off where that can be done at once.
   *   `Ending`: the process ends, and another one carries on.
   */
  close(reason?: "Left" | "Ending"): Promise<void>;
}

/** State of the connection to an account or broker. */
export type AccountStatus =
  | { state: "Connecting" }
  | { state: "Connected"; note?: string }
  | { state: "Failed"; reason: "ConnectionFailed" | "Unauthorized" | "TLSFailed"; message: string; nextTryMs?: number };

/** Something that operators should be told once, as a Kubernetes event on the EdgeBackend. */
export interface AccountNotice {
  reason: string;
  message: string;
  type: "Normal" | "Warning";
}

/**
 * What became of a webhook. Repeated: heard before, or too old. Unsigned: not the vendor's. Unconfigured: this account takes none.
 */
export type WebhookVerdict = "Accepted" | "Repeated" | "Unsigned" | "Malformed" | "Unconfigured";

/** A live connection to one EdgeBackend's endpoint; holds the device sessions made from it. */
export interface Account {
  readonly endpoint: string;
  status(): AccountStatus;
  subscribe(listener: (status: AccountStatus) => void, notice?: (notice: AccountNotice) => void): () => void;
  /** Same target, same session. Throws TargetError if the target is not this backend's kind or clashes with another one. */
  openDevice(device: EdgeDeviceSpec): DeviceSession;
  /**
   * Where the vendor sends webhooks: takes one as it came. Whatever it says, it only makes the account look sooner.
   *
   * @param headers names in lower case.
   */
  webhook?(raw: Buffer, headers: Readonly<Record<string, string | string[] | undefined>>): WebhookVerdict;
  /** Where the vendor keeps logins at registries per project (Planner.keepsRegistries). */
  readonly registries?: RegistryKeeper;
  /** Where the vendor has stacks of its own that containers are in. */
  readonly stacks?: StackKeeper;
  close(): Promise<void>;
}

/** Credentials and TLS material, resolved from Secrets. Lives in memory only. */
export interface AccountCredentials {
  username?: string;
  password?: string;
  /** Of vendors with an HTTP API: key apiKey of the Secret, mittwald: token. */
  apiKey?: string;
  /** Key webhookSecret of the Secret, where the vendor signs webhooks. */
  webhookSecret?: string;
  /** Bearer token, of a Ditto: key token of the Secret. */
  token?: string;
  /** `<issuer>:<subject>` of a Ditto behind no proxy but ours: key preAuthenticated of the Secret. */
  preAuthenticated?: string;
  /** PEM. */
  ca?: string;
  clientCert?: string;
  clientKey?: string;
}

/** Refuses every vendor write while false; structurally the lease's fence (src/kube). */
export interface WriteFence {
  /** Synchronous. False when the lease's own monotonic deadline is not ahead, or the process is read-only. */
  valid(): boolean;
}

/** Time, injected (structurally the Clock of src/kube). */
export interface BackendClock {
  /** Wall clock, ms since the epoch. */
  now(): number;
  /** Monotonic ms. */
  monotonic(): number;
  setTimeout(run: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
}

/** Counters and gauges; structurally a subset of the metrics of src/controller. */
export interface BackendMetrics {
  /** drayage_backend_commands_total{backend,kind,result}. */
  command(backend: BackendType, kind: string, result: "Succeeded" | "Failed" | "Lost" | "Refused"): void;
  /** drayage_backend_malformed_total{backend,kind}: input that was dropped. */
  malformed(backend: BackendType, kind: string): void;
  /** drayage_backend_reconnects_total{backend}. */
  reconnect(backend: BackendType): void;
}

/** A logger as pino's child; objects first, text second. */
export interface BackendLog {
  debug(fields: object, text: string): void;
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
  error(fields: object, text: string): void;
}

/** Tunables that tests and operators may shorten or lengthen; each has a documented command-line option. */
export interface BackendTimings {
  /** Silence after which a device is probed, ms. Default: EdgeBackend observeIntervalSeconds (Kanto 300 s). */
  observeIntervalMs?: number;
  /** How long a probe or barrier may stay unanswered before it counts as missed, ms. Default 10 s. */
  probeTimeoutMs?: number;
  /** First and largest delay before reconnecting, ms; doubling, ±20 %. Default 1 s and 60 s. */
  reconnectInitialMs?: number;
  reconnectMaxMs?: number;
  /** Overrides Backend.settleMs. */
  settleMs?: number;
}

/** What a backend is made with. */
export interface BackendDeps {
  clock: BackendClock;
  log: BackendLog;
  metrics: BackendMetrics;
  fence: WriteFence;
  /**
   * Whether this process may observe actively: probe presence, ask for full inventories, answer identity requests. None of it
   * changes a container, so a read-only leader may; a standby may not. Default: `fence`.
   */
  observeFence?: WriteFence;
  /** Uniform in [0, 1); for jitter and ids of no consequence. */
  random(): number;
  timings: BackendTimings;
  /** Unique per process: part of client ids, so that a standby and a leader never throw each other off. */
  processId: string;
}

/** One setting that a backend honours natively, by emulation, or not at all (EdgeBackend.status.capabilities). */
export interface Capability {
  /** Path in EdgeContainer.spec; `a.b=Value` for a single value. */
  path: string;
  level: "Native" | "Emulated" | "Unsupported";
  note?: string;
}

/** A field that this backend cannot do as asked. */
export interface FieldProblem {
  path: string;
  /** Invalid and Unsupported refuse the object; Ignored is cosmetic and only listed in status.unsupported. */
  kind: "Invalid" | "Unsupported" | "Ignored";
  /** A Stalled reason of api.md, e.g. InvalidSpec, UnsupportedField, PortOutOfRange, InvalidImageName. */
  reason: string;
  /** What is wrong and what to write instead. */
  message: string;
}

/** A field whose observed value is not the one wanted. Values of env are never shown (G8). */
export interface Difference {
  path: string;
  desired: string;
  observed: string;
  /** What it takes to mend it. Wait: it is being mended already, and nothing is to be sent. */
  effect: "Update" | "Rename" | "Recreate" | "Wait";
}

/** How a rental stands. All but Stopped may cost money. Unknown: the vendor's word is none that is known. */
export type RentalState = "Pending" | "Running" | "Stopping" | "Stopped" | "Failed" | "Unknown";

/**
 * What a backend that bills adds to its planner. A container of it is a rental: it runs from its creation, is never started
 * again once it has stopped, and costs money until the vendor says that it has stopped. plan/rental.ts decides by it.
 *
 * G9  A rental is begun at most once per number: the number is looked up right before, and after an unknown outcome it is
 *     looked up over the settle time before the operation counts as closed.
 */
export interface Rentals {
  state(observed: ObservedContainer): RentalState;
  /** For which causes a rental may follow another one. */
  reRent(desired: DesiredContainer): "Never" | "OnSpecChange" | "OnFailure" | "Always";
  /** Path of that setting in the spec, for messages. */
  readonly reRentPath: string;
}

/** The pure half of a backend: no I/O, no clock, no randomness; what plan() decides with. */
export interface Planner {
  readonly type: BackendType;
  readonly capabilities: readonly Capability[];
  /** True where two containers of one name can exist, so that a new one can be made before the old one stops. */
  readonly coexistence: boolean;
  /** True where a container exists only while it is to run: `stop` removes it, to start is to create, and a restart is both. */
  readonly stopsByRemoval?: boolean;
  /** True where the session has to know which objects are on the device (Claim). */
  readonly claims?: boolean;
  /** Name on the device of an object without spec.name. Absent: the object's own. */
  containerName?(names: { owner: string; namespace: string; name: string }): string;
  /**
   * Whether a part of the container's configuration can neither be read back nor is known to this process: then a changed hash is a
   * difference (path "spec"), which `update` mends by sending every such part. Absent: never.
   */
  conceals?(observed: ObservedContainer): boolean;
  /** True where the device restarts ended processes by restartPolicy itself. */
  readonly restartsByItself: boolean;
  /** True where a container without our marker under the wanted name is a conflict although the vendor allows it. */
  readonly nameConflicts: boolean;
  /** Present where each container is a rental that costs money. */
  readonly rentals?: Rentals;
  /** True where logins at registries are objects of a project at the vendor (Account.registries): none goes with a container, it waits for its own. */
  readonly keepsRegistries?: boolean;
  /** References of the spec, beside env, that this backend needs resolved (imagePullSecrets: and registryRefs). Absent: none. */
  readonly resolves?: readonly ("startupScript" | "imagePullSecrets")[];
  /**
   * True where env values, and whatever else comes from Secrets, can be read back over the vendor's API or broker by whoever has access
   * to it (condition SecretExposure).
   */
  readonly exposesEnv: boolean;
  /** Everything that cannot be done as asked, found before anything is sent. Total: never throws. */
  validate(desired: DesiredContainer): FieldProblem[];
  /** Paths of the spec that are set and honoured: what status.applied.paths records. */
  paths(desired: DesiredContainer): string[];
  /**
   * Compares normalised forms. `appliedPaths` (status.applied.paths): a path there that has left the spec is wanted at the
   * backend's default; a path in neither never differs. The policy that a container is held at while Stopped is no difference.
   */
  diff(desired: DesiredContainer, observed: ObservedContainer, appliedPaths: readonly string[]): Difference[];
  /** Everything that needs a new container when it changes, canonical; input of the marker's hash. */
  identity(desired: DesiredContainer): unknown;
  /** The one next command that mends all differences with effect Update. */
  update(desired: DesiredContainer, observed: ObservedContainer, appliedPaths: readonly string[]): CommandAction;
  /** The one next command towards a container that has stopped and stays so; undefined once it has. */
  stop(observed: ObservedContainer, stop: StopOptions): CommandAction | undefined;
  /**
   * The one command that ends the present run and begins another, where the vendor has one; undefined where nothing is to be ended. Absent:
   * `stop` and a start.
   */
  restart?(desired: DesiredContainer, observed: ObservedContainer): CommandAction | undefined;
  /**
   * Once nothing of an object is left: the one next command towards the removal of the volumes that it had, with their data
   * (spec.deletion.deleteVolumes). Undefined once they are gone, or where something else still uses them. Absent: volumes stay.
   */
  removeVolumes?(desired: DesiredContainer, volumes: readonly ObservedVolume[]): CommandAction | undefined;
  /** The one next command towards a removed container. */
  remove(observed: ObservedContainer, stop: StopOptions): CommandAction;
  /** Whether a process that ended like this is restarted by the device under the wanted policy. */
  restarts(desired: DesiredContainer, observed: ObservedContainer): boolean;
  /** Present where two containers can coexist and a stopped one may have to be held at another policy (updateStrategy Swap). */
  readonly policies?: PolicyKeeper;
}

/** Remembers a container's restart policy while it is held still, so that it can be given back. */
export interface PolicyKeeper {
  /** The present policy as text for the journal, at most 256 characters; only `restore` reads it. */
  save(observed: ObservedContainer): string;
  /**
   * The command that gives a saved policy back; undefined if the container has it, or the text says nothing. It may start a
   * stopped container.
   */
  restore(observed: ObservedContainer, saved: string): CommandAction | undefined;
}

/** How to stop: EdgeContainer.spec.stop with defaults applied. */
export interface StopOptions {
  signal: string;
  timeoutSeconds: number;
  force: boolean;
}

/** A vendor. */
export interface Backend {
  readonly type: BackendType;
  readonly planner: Planner;
  /** Checks the vendor block; messages name field and fix. Empty when fine. */
  validateBackend(spec: EdgeBackendSpec): FieldProblem[];
  validateDevice(spec: EdgeDeviceSpec): FieldProblem[];
  /** Starts connecting at once and keeps at it until closed; never throws for an unreachable endpoint. */
  connect(spec: EdgeBackendSpec, credentials: AccountCredentials): Account;
  /** Identity of endpoint and target, for DuplicateTarget; undefined if the device is of another kind. */
  targetKey(backend: EdgeBackendSpec, device: EdgeDeviceSpec): string | undefined;
  /** How long after taking the lease a former leader's command may still arrive, ms. */
  readonly settleMs: number;
}

/**
 * The live side of the API objects: one Account per EdgeBackend that can connect, one DeviceSession per EdgeDevice that owns
 * its target. Reconcilers of EdgeBackend and EdgeDevice open and close them; the reconciler of EdgeContainer only looks them
 * up. Credentials stay in memory here until their last user is gone, so that a namespace may be deleted in any order.
 */
import { createHash } from "node:crypto";
import type {
  Account,
  AccountCredentials,
  AccountNotice,
  Backend,
  BackendType,
  ConnectionState,
  ContainerUsage,
  DeviceSession,
  SessionEvent,
  WebhookVerdict,
} from "../backends/contract.ts";
import type { EdgeBackend } from "../crds/edge-backend.ts";
import type { EdgeDevice } from "../crds/edge-device.ts";
import { keyString } from "../kube/resource.ts";
import type { ObjectKey } from "../kube/types.ts";

/** Told about every change that should wake a reconciler. */
export interface AccountsListener {
  /** The account's connection changed. */
  onAccount(backend: ObjectKey): void;
  /** Something to tell once about a backend. */
  onNotice(backend: ObjectKey, notice: AccountNotice): void;
  /** Something happened on a device. */
  onDevice(device: ObjectKey, event: SessionEvent): void;
}

interface AccountEntry {
  key: ObjectKey;
  backend: Backend;
  account: Account;
  fingerprint: string;
  /** Digest of what says whose account it is. */
  identity: string;
  /** Since when it has been connected, by the monotonic clock; undefined while it is not. */
  connectedAtMs: number | undefined;
  unsubscribe: () => void;
}

interface DeviceEntry {
  key: ObjectKey;
  backendUid: string;
  fingerprint: string;
  session: DeviceSession;
  /** As its session told last. */
  connected: boolean;
  /** By the monotonic clock. */
  openedAtMs: number;
  unsubscribe: () => void;
}

/** The devices of one backend; counted as they change, since one broker may carry thousands. */
interface Fleet {
  readonly uids: Set<string>;
  connected: number;
}

/** Registry of live accounts and sessions, by uid of their objects. */
export class Accounts {
  readonly #backends: Partial<Record<BackendType, Backend>>;
  readonly #listener: AccountsListener;
  readonly #monotonicMs: () => number;
  readonly #accounts = new Map<string, AccountEntry>();
  readonly #devices = new Map<string, DeviceEntry>();
  /** By `namespace/name` and by session: uids of #devices. */
  readonly #byKey = new Map<string, string>();
  readonly #bySession = new Map<DeviceSession, string>();
  /** By uid of the EdgeBackend. */
  readonly #fleets = new Map<string, Fleet>();
  readonly #judged = new Set<string>();

  /**
   * @param backends the vendors this program was built with.
   * @param monotonicMs the monotonic clock.
   */
  constructor(
    backends: Partial<Record<BackendType, Backend>>,
    listener: AccountsListener,
    monotonicMs: () => number = () => performance.now(),
  ) {
    this.#backends = backends;
    this.#listener = listener;
    this.#monotonicMs = monotonicMs;
  }

  /** The vendor implementation for a backend object, if there is one in this build. */
  backendFor(object: EdgeBackend): Backend | undefined {
    return this.#backends[backendType(object)];
  }

  /**
   * The account of this object, connecting first if need be. A change of the endpoint, its options or its credentials
   * replaces the connection and every session on it; commands in flight are then settled through the journal.
   */
  ensureAccount(object: EdgeBackend, credentials: AccountCredentials): Account {
    const uid = object.metadata.uid;
    const fingerprint = fingerprintOf(object, credentials);
    const present = this.#accounts.get(uid);
    if (present !== undefined) {
      if (present.fingerprint === fingerprint) return present.account;
      this.dropAccount(uid);
    }
    const backend = this.backendFor(object);
    if (backend === undefined) throw new Error(`no implementation of backend ${backendType(object)}`);
    const key = { namespace: object.metadata.namespace ?? "", name: object.metadata.name };
    // The object of that name was deleted and made anew between two looks: its old connection has no other end.
    this.forgetBackend(key);
    const account = backend.connect(object.spec, credentials);
    const entry: AccountEntry = {
      key,
      backend,
      account,
      fingerprint,
      identity: identityOf(object, credentials),
      connectedAtMs: account.status().state === "Connected" ? this.#monotonicMs() : undefined,
      unsubscribe: () => undefined,
    };
    entry.unsubscribe = account.subscribe(
      (status) => {
        if (status.state !== "Connecting") this.#judged.add(uid);
        entry.connectedAtMs = status.state === "Connected" ? (entry.connectedAtMs ?? this.#monotonicMs()) : undefined;
        this.#listener.onAccount(key);
      },
      (notice) => this.#listener.onNotice(key, notice),
    );
    this.#accounts.set(uid, entry);
    return account;
  }

  /** Hands a webhook to the account of an EdgeBackend; undefined if there is none that takes any. */
  webhook(
    backend: ObjectKey,
    raw: Buffer,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ): WebhookVerdict | undefined {
    for (const { key, account } of this.#accounts.values())
      if (key.namespace === backend.namespace && key.name === backend.name) return account.webhook?.(raw, headers);
    return undefined;
  }

  /** The account of an EdgeBackend by uid, if it is open. */
  account(uid: string): Account | undefined {
    return this.#accounts.get(uid)?.account;
  }

  /** Digest of whose account an EdgeBackend by uid leads to: its vendor, address and key. Never shown as it is. */
  identity(uid: string): string | undefined {
    return this.#accounts.get(uid)?.identity;
  }

  /** An EdgeContainer is gone. */
  forgetContainer(owner: string, { namespace, name }: ObjectKey): void {
    for (const { session } of this.#devices.values()) session.forget?.({ owner, namespace, name });
  }

  /** How long an EdgeBackend by uid has been connected without a break, ms; undefined while it is not. */
  connectedForMs(uid: string): number | undefined {
    const since = this.#accounts.get(uid)?.connectedAtMs;
    return since === undefined ? undefined : this.#monotonicMs() - since;
  }

  /**
   * Whether this process has found out how the backend stands: connected, failed, or refused. Until then (right after a
   * start) whatever status says of it and of everything behind it is left as it is.
   */
  isJudged(uid: string): boolean {
    return this.#judged.has(uid) || (this.#accounts.get(uid)?.account.status().state ?? "Connecting") !== "Connecting";
  }

  /** The backend cannot be connected at all: its spec or a Secret is at fault. */
  judge(uid: string): void {
    this.#judged.add(uid);
  }

  /** Closes an account and every session on it. Closing goes on in the background; nothing is sent any more. */
  dropAccount(uid: string): void {
    const entry = this.#accounts.get(uid);
    if (entry === undefined) return;
    for (const deviceUid of this.#fleets.get(uid)?.uids ?? []) this.dropDevice(deviceUid);
    this.#accounts.delete(uid);
    entry.unsubscribe();
    void entry.account.close();
  }

  /** The session of this device, opened on its backend's account. Throws TargetError if the target does not fit. */
  ensureDevice(device: EdgeDevice, backendUid: string, account: Account): DeviceSession {
    const uid = device.metadata.uid;
    const fingerprint = deviceFingerprint(device);
    const present = this.#devices.get(uid);
    if (present !== undefined) {
      if (present.fingerprint === fingerprint && present.backendUid === backendUid) {
        present.session.configure?.(device.spec);
        return present.session;
      }
      this.dropDevice(uid);
    }
    const key = { namespace: device.metadata.namespace ?? "", name: device.metadata.name };
    this.forgetDevice(key);
    const session = account.openDevice(device.spec);
    // One target, one session: it passes from the EdgeDevice that had it to this one.
    this.#forget(this.#bySession.get(session) ?? "");
    const entry: DeviceEntry = {
      key,
      backendUid,
      fingerprint,
      session,
      connected: isConnected(session.snapshot().connection),
      openedAtMs: this.#monotonicMs(),
      unsubscribe: session.subscribe((event) => this.#onDevice(uid, key, event)),
    };
    this.#remember(uid, entry);
    session.configure?.(device.spec);
    return session;
  }

  #onDevice(uid: string, key: ObjectKey, event: SessionEvent): void {
    const entry = this.#devices.get(uid);
    if (event.type === "Connection" && entry !== undefined) {
      const connected = isConnected(event.state);
      const fleet = this.#fleets.get(entry.backendUid);
      if (fleet !== undefined) fleet.connected += Number(connected) - Number(entry.connected);
      entry.connected = connected;
    }
    this.#listener.onDevice(key, event);
  }

  #remember(uid: string, entry: DeviceEntry): void {
    this.#devices.set(uid, entry);
    this.#byKey.set(keyString(entry.key), uid);
    this.#bySession.set(entry.session, uid);
    let fleet = this.#fleets.get(entry.backendUid);
    if (fleet === undefined) this.#fleets.set(entry.backendUid, (fleet = { uids: new Set(), connected: 0 }));
    fleet.uids.add(uid);
    fleet.connected += Number(entry.connected);
  }

  /** Takes a device out of the books, without ending its session. */
  #forget(uid: string): DeviceEntry | undefined {
    const entry = this.#devices.get(uid);
    if (entry === undefined) return undefined;
    entry.unsubscribe();
    this.#devices.delete(uid);
    if (this.#byKey.get(keyString(entry.key)) === uid) this.#byKey.delete(keyString(entry.key));
    if (this.#bySession.get(entry.session) === uid) this.#bySession.delete(entry.session);
    const fleet = this.#fleets.get(entry.backendUid);
    if (fleet !== undefined) {
      fleet.uids.delete(uid);
      fleet.connected -= Number(entry.connected);
      if (fleet.uids.size === 0) this.#fleets.delete(entry.backendUid);
    }
    return entry;
  }

  /** The session of an EdgeDevice by uid, if it is open. */
  device(uid: string): DeviceSession | undefined {
    return this.#devices.get(uid)?.session;
  }

  /** How long the session of an EdgeDevice has been open, ms; undefined if it is not. */
  openForMs(uid: string): number | undefined {
    const entry = this.#devices.get(uid);
    return entry === undefined ? undefined : this.#monotonicMs() - entry.openedAtMs;
  }

  /** Open sessions on a backend: how many, and how many of them are connected. */
  countDevices(backendUid: string): { total: number; connected: number } {
    const fleet = this.#fleets.get(backendUid);
    return { total: fleet?.uids.size ?? 0, connected: fleet?.connected ?? 0 };
  }

  /** What the containers of each device use, by external id; devices that report nothing are left out. */
  *usages(): Generator<{ device: ObjectKey; session: DeviceSession; usage: ReadonlyMap<string, ContainerUsage> }> {
    for (const { key, session } of this.#devices.values()) {
      const usage = session.usage?.();
      if (usage !== undefined && usage.size > 0) yield { device: key, session, usage };
    }
  }

  dropDevice(uid: string): void {
    void this.#forget(uid)?.session.close();
  }

  /** Closes what belongs to an EdgeBackend that is gone. */
  forgetBackend(key: ObjectKey): void {
    for (const [uid, entry] of this.#accounts)
      if (entry.key.namespace === key.namespace && entry.key.name === key.name) this.dropAccount(uid);
  }

  /** Closes what belongs to an EdgeDevice that is gone. */
  forgetDevice(key: ObjectKey): void {
    const uid = this.#byKey.get(keyString(key));
    if (uid !== undefined) this.dropDevice(uid);
  }

  /** Closes everything and waits for it. */
  async close(): Promise<void> {
    const accounts = [...this.#accounts.values()];
    for (const uid of this.#devices.keys()) this.#forget(uid);
    this.#accounts.clear();
    await Promise.all(
      accounts.map(async (entry) => {
        entry.unsubscribe();
        await entry.account.close();
      }),
    );
  }
}

/** The vendor block that a backend object has (exactly one, by CEL). */
export function backendType(object: EdgeBackend): BackendType {
  const { kanto, alpon, hiveon } = object.spec;
  return kanto !== undefined ? "kanto" : alpon !== undefined ? "alpon" : hiveon !== undefined ? "hiveon" : "mittwald";
}

function isConnected(state: ConnectionState): boolean {
  return state === "Connected" || state === "Busy";
}

/** What makes another session; all else is handed to the present one. */
function deviceFingerprint({ spec }: EdgeDevice): string {
  const { backendRef, kanto, alpon, hiveon, mittwald } = spec;
  const { metrics: _metrics, ...kantoTarget } = kanto ?? {};
  return JSON.stringify([backendRef, kantoTarget, alpon, hiveon, mittwald]);
}

function identityOf({ spec }: EdgeBackend, { apiKey, username }: AccountCredentials): string {
  const { kanto, alpon, hiveon, mittwald } = spec;
  const url = (kanto ?? alpon ?? hiveon ?? mittwald)?.url;
  return createHash("sha256")
    .update(JSON.stringify([url, apiKey, username]))
    .digest("hex");
}

/** A digest, so that credentials are not kept twice. Only what makes another connection counts. */
function fingerprintOf(object: EdgeBackend, credentials: AccountCredentials): string {
  const { allowedNamespaces: _allowed, suspend: _suspend, deletion: _deletion, ...connection } = object.spec;
  return createHash("sha256")
    .update(JSON.stringify([connection, credentials]))
    .digest("hex");
}

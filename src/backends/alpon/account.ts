/** One EdgeBackend of type ALPON: its HTTP client, whether its key is good, and the sessions of its devices. */
import type { EdgeBackendSpec } from "../../crds/edge-backend.ts";
import type { EdgeDeviceSpec } from "../../crds/edge-device.ts";
import { BACKEND_DEFAULTS } from "../../crds/default-values.ts";
import type {
  Account,
  AccountCredentials,
  AccountNotice,
  AccountStatus,
  BackendDeps,
  DeviceSession,
} from "../contract.ts";
import { TargetError } from "../errors.ts";
import { HttpClient, type HttpRequest, type HttpResult } from "../http/client.ts";
import { isPage } from "../http/failures.ts";
import { AccountGate, type ProbeResult } from "../http/gate.ts";
import { dialectOf, type AlponDialect } from "./dialect.ts";
import { AlponSession, type SessionDeps } from "./session.ts";

/** The vendor documents no limit, only that 429 is to be answered by patience. */
export const ALPON_LIMITS = { requestsPerSecond: 5, burst: 10, concurrency: 4 } as const;

const RECONNECT_INITIAL_MS = 1_000;
const RECONNECT_MAX_MS = 60_000;
/** The list of assets is asked for the status of its answer only. */
const LARGEST_PROBE = 64 * 1_048_576;

type AlponSpec = NonNullable<EdgeBackendSpec["alpon"]>;

export class AlponAccount implements Account {
  readonly endpoint: string;
  readonly #spec: EdgeBackendSpec;
  readonly #deps: BackendDeps;
  readonly #dialect: AlponDialect;
  readonly #settleMs: number;
  readonly #pollMs: number;
  readonly #client: HttpClient;
  readonly #gate: AccountGate;
  /** By the id that the EdgeDevice has, the first opened first. */
  readonly #sessions = new Map<string, AlponSession>();
  readonly #listeners = new Set<(status: AccountStatus) => void>();
  #beat: unknown;
  #answeredAt = -Infinity;
  #closed = false;

  constructor(
    spec: EdgeBackendSpec,
    alpon: AlponSpec,
    credentials: AccountCredentials,
    deps: BackendDeps,
    settleMs: number,
  ) {
    this.#spec = spec;
    this.#deps = deps;
    this.#dialect = dialectOf(alpon.dialect);
    this.#settleMs = settleMs;
    this.#pollMs =
      deps.timings.observeIntervalMs ?? (spec.observeIntervalSeconds ?? BACKEND_DEFAULTS.observeIntervalSeconds) * 1000;
    const { clock, timings } = deps;
    const { apiKey = "", ca, clientCert, clientKey } = credentials;
    const serverName = spec.tls?.serverName;
    this.#client = new HttpClient(
      {
        url: alpon.url ?? BACKEND_DEFAULTS.alpon.url,
        tls: {
          ...(ca !== undefined && { ca }),
          ...(clientCert !== undefined && { clientCert }),
          ...(clientKey !== undefined && { clientKey }),
          ...(serverName !== undefined && { serverName }),
        },
        authHeaders: { [this.#dialect.authHeader.toLowerCase()]: apiKey },
        limits: { ...ALPON_LIMITS, ...spec.rateLimit },
      },
      { clock, fence: deps.fence },
    );
    this.endpoint = this.#client.origin;
    this.#gate = new AccountGate(
      clock,
      {
        initialMs: timings.reconnectInitialMs ?? RECONNECT_INITIAL_MS,
        maxMs: timings.reconnectMaxMs ?? RECONNECT_MAX_MS,
      },
      { probe: () => this.#probe(), changed: (status) => this.#onStatus(status), random: () => deps.random() },
    );
    this.#gate.check();
    this.#keepBeat();
  }

  status(): AccountStatus {
    return this.#gate.status;
  }

  subscribe(listener: (status: AccountStatus) => void, _notice?: (notice: AccountNotice) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  openDevice(device: EdgeDeviceSpec): DeviceSession {
    const { alpon } = device;
    if (alpon === undefined)
      throw new TargetError("WrongDeviceKind", "the EdgeBackend is of type alpon: set spec.alpon.assetId");
    const { assetId } = alpon;
    const existing = this.#sessions.get(assetId);
    if (existing !== undefined) return existing;
    const { clock, log, metrics, fence } = this.#deps;
    const commandTimeoutMs = (this.#spec.commandTimeoutSeconds ?? BACKEND_DEFAULTS.commandTimeoutSeconds) * 1000;
    const session = new AlponSession(
      {
        targetKey: targetKeyOf(this.endpoint, assetId),
        assetId,
        dialect: this.#dialect,
        pollMs: this.#pollMs,
        settleMs: this.#settleMs,
        commandTimeoutMs,
        // A slow link may be silent for longer than a command should take.
        idleTimeoutMs: commandTimeoutMs * 2,
        createTimeoutMs: (this.#spec.createTimeoutSeconds ?? BACKEND_DEFAULTS.createTimeoutSeconds) * 1000,
      },
      {
        clock,
        log,
        metrics,
        fence,
        random: () => this.#deps.random(),
        send: (request) => this.#send(request),
        account: () => this.#standing(),
        firstOf: (asking, ids) => this.#firstOf(asking, ids),
        closed: (closed) => {
          if (this.#sessions.get(assetId) === closed) this.#sessions.delete(assetId);
        },
      },
    );
    this.#sessions.set(assetId, session);
    return session;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#deps.clock.clearTimeout(this.#beat);
    this.#gate.close();
    await Promise.all([...this.#sessions.values()].map((session) => session.close()));
    await this.#client.close();
    this.#listeners.clear();
  }

  #firstOf(asking: AlponSession, ids: readonly string[]): AlponSession | undefined {
    for (const session of this.#sessions.values()) {
      if (session === asking) return undefined;
      if (session.isOneOf(ids)) return session;
    }
    return undefined;
  }

  /** Refused while the account cannot be used: its one probe finds out when it can, not each object by itself. */
  async #send(request: HttpRequest): Promise<HttpResult> {
    const standing = this.#standing();
    if (!standing.open) return { kind: "NotSent", cause: "Closed", tls: false, message: standing.failure.message };
    const result = await this.#client.send(request);
    if (result.kind === "Answer") {
      this.#answeredAt = this.#deps.clock.monotonic();
      if (result.status === 401) this.#gate.refused(unauthorized(401, result.message));
      // A key may lack the right to one thing only: the probe tells whether it is any good.
      else if (result.status === 403) this.#gate.doubt();
    } else if (
      (result.kind === "Broken" && result.status === undefined) ||
      (result.kind === "NotSent" && result.cause === "Connect")
    )
      this.#gate.doubt();
    return result;
  }

  async #probe(): Promise<ProbeResult> {
    const result = await this.#client.send({
      method: "GET",
      path: this.#dialect.paths.assets,
      write: false,
      urgency: "Urgent",
      maxBytes: LARGEST_PROBE,
      onData: () => undefined,
    });
    switch (result.kind) {
      case "NotSent":
        return {
          ok: false,
          reason: result.tls ? "TLSFailed" : "ConnectionFailed",
          message: `${this.endpoint} cannot be reached: ${result.message}`,
        };
      case "Broken":
        return {
          ok: false,
          reason: "ConnectionFailed",
          message: `${this.endpoint} does not answer as an API does: ${result.message}`,
        };
      case "Answer":
        this.#answeredAt = this.#deps.clock.monotonic();
        if (result.status === 401 || result.status === 403)
          return { ok: false, reason: "Unauthorized", message: unauthorized(result.status, result.message) };
        if (isPage(result) && result.status < 500)
          return {
            ok: false,
            reason: "ConnectionFailed",
            message: `${this.endpoint} answers ${result.status} with a web page, as no API does: is spec.alpon.url right?`,
          };
        return result.status >= 500
          ? {
              ok: false,
              reason: "ConnectionFailed",
              message: `${this.endpoint} answers ${result.status}${result.message === "" ? "" : `: ${result.message}`}`,
            }
          : { ok: true };
      default:
        return result satisfies never;
    }
  }

  /** Where there is no device nothing is asked; once an interval somebody must. */
  #keepBeat(): void {
    this.#beat = this.#deps.clock.setTimeout(() => {
      if (this.#gate.isOpen && this.#deps.clock.monotonic() - this.#answeredAt >= this.#pollMs) this.#gate.check();
      this.#keepBeat();
    }, this.#pollMs * 2);
  }

  #standing(): ReturnType<SessionDeps["account"]> {
    const { status } = this.#gate;
    switch (status.state) {
      case "Connected":
        return { open: true };
      case "Connecting":
        return { open: false, failure: { class: "Transient", message: `connecting to ${this.endpoint}` } };
      case "Failed":
        return {
          open: false,
          failure: { class: status.reason === "Unauthorized" ? "Unauthorized" : "Transient", message: status.message },
        };
      default:
        return status satisfies never;
    }
  }

  #onStatus(status: AccountStatus): void {
    for (const session of this.#sessions.values()) session.accountChanged();
    for (const listener of this.#listeners) listener(status);
  }
}

function unauthorized(status: number, message: string): string {
  const hint = status === 401 ? "is apiKey in the Secret right?" : "the key lacks the rights for it";
  return `the vendor answers ${status}${message === "" ? "" : `: ${message}`}; ${hint}`;
}

/** Identity of a device: the server without its scheme, and the id that it was given. Sessions find out about the other three kinds. */
export function targetKeyOf(origin: string, assetId: string): string {
  return `alpon ${origin.replace(/^[a-z]+:\/\//, "")} ${assetId}`;
}

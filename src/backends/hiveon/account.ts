/** One EdgeBackend of type Hiveon: its HTTP client, whether its key is good, and the sessions of its machines. */
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
  WebhookVerdict,
} from "../contract.ts";
import { TargetError } from "../errors.ts";
import { HttpClient, type HttpRequest, type HttpResult } from "../http/client.ts";
import { isPage } from "../http/failures.ts";
import { AccountGate, type ProbeResult } from "../http/gate.ts";
import { PROBE_ID } from "./ids.ts";
import { HiveonSession } from "./session.ts";
import { WebhookReader } from "./webhook.ts";
import { statusPath } from "./wire.ts";

/** The vendor documents no limit; this is what the client keeps to unless EdgeBackend.spec.rateLimit says otherwise. */
export const HIVEON_LIMITS = { requestsPerSecond: 1, burst: 5, concurrency: 2 } as const;

const RECONNECT_INITIAL_MS = 1_000;
const RECONNECT_MAX_MS = 60_000;

type HiveonSpec = NonNullable<EdgeBackendSpec["hiveon"]>;

export class HiveonAccount implements Account {
  readonly endpoint: string;
  readonly #spec: EdgeBackendSpec;
  readonly #hiveon: HiveonSpec;
  readonly #deps: BackendDeps;
  readonly #settleMs: number;
  readonly #pollMs: number;
  readonly #client: HttpClient;
  readonly #gate: AccountGate;
  readonly #webhooks: WebhookReader;
  readonly #sessions = new Map<string, HiveonSession>();
  readonly #listeners = new Set<(status: AccountStatus) => void>();
  readonly #noticeListeners = new Set<(notice: AccountNotice) => void>();
  readonly #notices: AccountNotice[] = [];
  #lookupBroken: string | undefined;
  #beat: unknown;
  #answeredAt = -Infinity;
  #closed = false;

  constructor(
    spec: EdgeBackendSpec,
    hiveon: HiveonSpec,
    credentials: AccountCredentials,
    deps: BackendDeps,
    settleMs: number,
  ) {
    this.#spec = spec;
    this.#hiveon = hiveon;
    this.#deps = deps;
    this.#settleMs = settleMs;
    this.#pollMs =
      deps.timings.observeIntervalMs ?? (spec.observeIntervalSeconds ?? BACKEND_DEFAULTS.observeIntervalSeconds) * 1000;
    const { clock, timings } = deps;
    const { apiKey = "", ca, clientCert, clientKey } = credentials;
    const serverName = spec.tls?.serverName;
    this.#client = new HttpClient(
      {
        url: hiveon.url ?? BACKEND_DEFAULTS.hiveon.url,
        tls: {
          ...(ca !== undefined && { ca }),
          ...(clientCert !== undefined && { clientCert }),
          ...(clientKey !== undefined && { clientKey }),
          ...(serverName !== undefined && { serverName }),
        },
        authHeaders: { "x-api-key": apiKey },
        limits: { ...HIVEON_LIMITS, ...spec.rateLimit },
      },
      { clock, fence: deps.fence },
    );
    this.#webhooks = new WebhookReader(credentials.webhookSecret);
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

  subscribe(listener: (status: AccountStatus) => void, notice?: (notice: AccountNotice) => void): () => void {
    this.#listeners.add(listener);
    if (notice !== undefined) {
      this.#noticeListeners.add(notice);
      // What was said before anybody listened.
      for (const earlier of this.#notices.splice(0)) notice(earlier);
    }
    return () => {
      this.#listeners.delete(listener);
      if (notice !== undefined) this.#noticeListeners.delete(notice);
    };
  }

  openDevice(device: EdgeDeviceSpec): DeviceSession {
    const { hiveon } = device;
    if (hiveon === undefined)
      throw new TargetError("WrongDeviceKind", "the EdgeBackend is of type hiveon: set spec.hiveon.machineId");
    const existing = this.#sessions.get(hiveon.machineId);
    if (existing !== undefined && existing.options.machinePriceId === hiveon.machinePriceId) return existing;
    const { clock, log, metrics, fence } = this.#deps;
    const session = new HiveonSession(
      {
        targetKey: targetKeyOf(this.endpoint, hiveon.machineId),
        machineId: hiveon.machineId,
        machinePriceId: hiveon.machinePriceId,
        externalIdPath: this.#hiveon.externalIdPath,
        pollMs: this.#pollMs,
        settleMs: this.#settleMs,
        commandTimeoutMs: (this.#spec.commandTimeoutSeconds ?? BACKEND_DEFAULTS.commandTimeoutSeconds) * 1000,
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
        lookup: this.#lookup(),
        closed: (closed) => {
          if (this.#sessions.get(hiveon.machineId) === closed) this.#sessions.delete(hiveon.machineId);
        },
      },
    );
    this.#sessions.set(hiveon.machineId, session);
    return session;
  }

  webhook(raw: Buffer, headers: Readonly<Record<string, string | string[] | undefined>>): WebhookVerdict {
    const header = headers["x-webhook-signature"];
    const { verdict, ids } = this.#webhooks.read(
      raw,
      typeof header === "string" ? header : undefined,
      this.#deps.clock.now(),
    );
    if (verdict === "Malformed") this.#deps.metrics.malformed("hiveon", "Webhook");
    if (ids.length > 0) for (const session of this.#sessions.values()) if (session.hinted(ids)) break;
    return verdict;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#deps.clock.clearTimeout(this.#beat);
    this.#gate.close();
    await Promise.all([...this.#sessions.values()].map((session) => session.close()));
    await this.#client.close();
    this.#listeners.clear();
    this.#noticeListeners.clear();
  }

  /** Refused while the account cannot be used: its one probe finds out when it can, not each object by itself. */
  async #send(request: HttpRequest): Promise<HttpResult> {
    if (!this.#gate.isOpen) {
      const standing = this.#standing();
      const message = standing.open ? "" : standing.failure.message;
      return { kind: "NotSent", cause: "Closed", tls: false, message };
    }
    const result = await this.#client.send(request);
    if (result.kind === "Answer") {
      this.#answeredAt = this.#deps.clock.monotonic();
      if (result.status === 401 || result.status === 403)
        this.#gate.refused(unauthorized(result.status, result.message));
    } else if (result.kind === "Broken" || result.cause === "Connect") this.#gate.doubt();
    return result;
  }

  #lookup(): { broken: string | undefined; report(message: string): void } {
    const broken = (): string | undefined => this.#lookupBroken;
    return {
      get broken() {
        return broken();
      },
      report: (message) => {
        if (this.#lookupBroken !== undefined) return;
        this.#lookupBroken = message;
        this.#deps.log.error({ endpoint: this.endpoint }, message);
        const notice: AccountNotice = { reason: "LookupFailed", type: "Warning", message };
        if (this.#noticeListeners.size === 0) this.#notices.push(notice);
        for (const listener of this.#noticeListeners) listener(notice);
      },
    };
  }

  async #probe(): Promise<ProbeResult> {
    const result = await this.#client.send({
      method: "GET",
      path: statusPath(PROBE_ID),
      write: false,
      urgency: "Urgent",
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
            message: `${this.endpoint} answers ${result.status} with a web page, as no API does: is spec.hiveon.url right?`,
          };
        // Whatever else it says about an id that nobody has: it takes our key.
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

  /** Where nothing is rented nothing is asked; once an interval somebody must. */
  #keepBeat(): void {
    this.#beat = this.#deps.clock.setTimeout(() => {
      if (this.#gate.isOpen && this.#deps.clock.monotonic() - this.#answeredAt >= this.#pollMs) this.#gate.check();
      this.#keepBeat();
    }, this.#pollMs * 2);
  }

  #standing(): ReturnType<ConstructorParameters<typeof HiveonSession>[1]["account"]> {
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
  const hint = status === 401 ? "is apiKey in the Secret right?" : "the key lacks the role for it";
  return `the vendor answers ${status}${message === "" ? "" : `: ${message}`}; ${hint}`;
}

/** Identity of a machine: the server without its scheme, and its id. */
export function targetKeyOf(origin: string, machineId: string): string {
  return `hiveon ${origin.replace(/^[a-z]+:\/\//, "")} ${machineId}`;
}

/**
 * What the account of every vendor with an HTTP API has: its client, the gate that one probe opens and closes for everybody, its sessions by
 * target, and who listens. A vendor's own account holds one and adds what is its own.
 */
import type { EdgeBackendSpec } from "../../crds/edge-backend.ts";
import { BACKEND_DEFAULTS } from "../../crds/default-values.ts";
import { AccountListeners } from "../account-listeners.ts";
import type {
  AccountCredentials,
  AccountNotice,
  AccountStatus,
  BackendDeps,
  BackendType,
  DeviceSession,
} from "../contract.ts";
import { HttpClient, type HttpClientOptions, type HttpRequest, type HttpResult } from "./client.ts";
import { isLoopback, type HttpTls } from "./dispatcher.ts";
import { AccountGate } from "./gate.ts";
import type { LimiterOptions } from "./limiter.ts";
import { judgeProbe, unauthorized } from "./probe.ts";
import {
  SessionBook,
  type AccountStanding,
  type HttpSession,
  type HttpSessionDeps,
  type HttpSessionTimes,
} from "./sessions.ts";

const RECONNECT_INITIAL_MS = 1_000;
const RECONNECT_MAX_MS = 60_000;

/** What is a vendor's own. */
export interface HttpVendor {
  readonly type: Exclude<BackendType, "kanto">;
  /** Address of the API. */
  readonly url: string;
  /** Values are secret. */
  readonly authHeaders: Readonly<Record<string, string>>;
  /** The secret itself, where a header's value is more than it. */
  readonly secrets?: readonly string[];
  /** What the client keeps to unless EdgeBackend.spec.rateLimit says otherwise. */
  readonly limits: LimiterOptions;
  /** As HttpClientOptions.restMs. */
  readonly restMs?: HttpClientOptions["restMs"];
  /** Default of Backend.settleMs, ms. */
  readonly settleMs: number;
  /** A harmless GET that every good key may send: any answer of the API below 500, beside 401 and 403, says that the account is usable. */
  readonly probe: Pick<HttpRequest, "path" | "maxBytes" | "onData">;
  /**
   * What a 403 to an ordinary request says: `Refused`, that the key is no good for anything; `Doubted`, that it may lack the right to one thing
   * only, so that the probe tells. A 401 is always `Refused`.
   */
  readonly forbidden: "Refused" | "Doubted";
}

export class HttpAccount<S extends HttpSession & DeviceSession> {
  /** Scheme, host and port. */
  readonly endpoint: string;
  readonly times: HttpSessionTimes;
  readonly sessionDeps: HttpSessionDeps;
  readonly sessions = new SessionBook<S>();
  readonly #vendor: HttpVendor;
  readonly #deps: BackendDeps;
  readonly #client: HttpClient;
  readonly #gate: AccountGate;
  readonly #listeners = new AccountListeners();
  #beat: unknown;
  #answeredAt = -Infinity;
  #closed = false;

  /** Begins to connect at once. @throws as HttpClient. */
  constructor(vendor: HttpVendor, spec: EdgeBackendSpec, credentials: AccountCredentials, deps: BackendDeps) {
    this.#vendor = vendor;
    this.#deps = deps;
    this.times = timesOf(spec, deps, vendor.settleMs);
    const { clock, fence, log, metrics, timings } = deps;
    const { url, authHeaders, secrets, restMs } = vendor;
    this.#client = new HttpClient(
      {
        url,
        tls: tlsOf(spec, credentials),
        authHeaders,
        ...(secrets !== undefined && { secrets }),
        ...(restMs !== undefined && { restMs }),
        limits: { ...vendor.limits, ...spec.rateLimit },
      },
      { clock, fence },
    );
    this.endpoint = this.#client.origin;
    if (isReadable(url)) this.notice(plainHttp(this.endpoint));
    this.sessionDeps = {
      clock,
      log,
      metrics,
      fence,
      random: () => deps.random(),
      send: (request) => this.send(request),
      account: () => this.standing(),
    };
    this.#gate = new AccountGate(
      clock,
      {
        initialMs: timings.reconnectInitialMs ?? RECONNECT_INITIAL_MS,
        maxMs: timings.reconnectMaxMs ?? RECONNECT_MAX_MS,
      },
      {
        probe: async () => this.#judge(await this.#probe()),
        changed: (status) => this.#onStatus(status),
        random: () => deps.random(),
      },
    );
    this.#gate.check();
    this.#keepBeat();
  }

  status(): AccountStatus {
    return this.#gate.status;
  }

  /** As Account.subscribe has it. */
  subscribe(listener: (status: AccountStatus) => void, notice?: (notice: AccountNotice) => void): () => void {
    return this.#listeners.subscribe(listener, notice);
  }

  /** Something that operators should be told once. */
  notice(notice: AccountNotice): void {
    this.#listeners.notice(notice);
  }

  /** Refused while the account cannot be used: its one probe finds out when it can, not each object by itself. Never rejects. */
  async send(request: HttpRequest): Promise<HttpResult> {
    const standing = this.standing();
    if (!standing.open) return { kind: "NotSent", cause: "Closed", tls: false, message: standing.failure.message };
    const result = await this.#client.send(request);
    this.#learn(request, result);
    return result;
  }

  /** Whether it can be used now. */
  standing(): AccountStanding {
    const { status } = this.#gate;
    switch (status.state) {
      case "Connected":
        return { open: true };
      case "Connecting":
        return { open: false, failure: { class: "Transient", message: `connecting to ${this.endpoint}` } };
      case "Failed": {
        const failureClass = status.reason === "Unauthorized" ? "Unauthorized" : "Transient";
        return { open: false, failure: { class: failureClass, message: status.message } };
      }
      default:
        return status satisfies never;
    }
  }

  /**
   * The session of a target, made if there is none.
   *
   * @param make is given what the session has to call when it is closed.
   * @param fits whether an open session does for what is asked now; default: always.
   */
  openSession(target: string, make: (closed: (session: S) => void) => S, fits?: (session: S) => boolean): S {
    const existing = this.sessions.get(target);
    if (existing !== undefined && (fits?.(existing) ?? true)) return existing;
    return this.sessions.add(
      target,
      make((session) => this.sessions.closed(target, session)),
    );
  }

  /** Ends the sessions, and with the connections all that is under way. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#deps.clock.clearTimeout(this.#beat);
    this.#gate.close();
    await Promise.all([...this.sessions].map((session) => session.close()));
    await this.#client.close();
    this.#listeners.clear();
  }

  /** What the result of one request says of the whole account. */
  #learn(request: HttpRequest, result: HttpResult): void {
    switch (result.kind) {
      case "Answer":
        this.#answeredAt = this.#deps.clock.monotonic();
        if (result.status === 401 || (result.status === 403 && this.#vendor.forbidden === "Refused"))
          this.#gate.refused(unauthorized(result.status, result.message));
        else if (result.status === 403) this.#gate.doubt();
        break;
      case "Broken":
        // A long answer that broke off after it had begun says something of that device only.
        if (result.status === undefined || request.isLong !== true) this.#gate.doubt();
        break;
      case "NotSent":
        if (result.cause === "Connect") this.#gate.doubt();
        break;
      default:
        result satisfies never;
    }
  }

  #probe(): Promise<HttpResult> {
    return this.#client.send({ method: "GET", write: false, urgency: "Urgent", ...this.#vendor.probe });
  }

  #judge(result: HttpResult): ReturnType<typeof judgeProbe> {
    if (result.kind === "Answer") this.#answeredAt = this.#deps.clock.monotonic();
    return judgeProbe(result, this.endpoint, `spec.${this.#vendor.type}.url`);
  }

  /** Where nothing is to be looked at nothing is asked; once an interval somebody must. */
  #keepBeat(): void {
    const { clock } = this.#deps;
    const { pollMs } = this.times;
    this.#beat = clock.setTimeout(() => {
      if (this.#gate.isOpen && clock.monotonic() - this.#answeredAt >= pollMs) this.#gate.check();
      this.#keepBeat();
    }, pollMs * 2);
  }

  #onStatus(status: AccountStatus): void {
    for (const session of this.sessions) session.accountChanged();
    this.#listeners.changed(status);
  }
}

/** Whether others can read what is sent to this address: no TLS, and not within this machine. */
export function isReadable(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === "http:" && !isLoopback(hostname);
}

/** An API in the same network may be reached so; that is the operators' to know. */
export function plainHttp(endpoint: string): AccountNotice {
  const message = `${endpoint} is spoken to without TLS: the credentials and everything about the devices can be read on the way`;
  return { reason: "PlainHttp", type: "Warning", message };
}

/** What the EdgeBackend and the Secrets it names say of TLS. */
export function tlsOf(spec: EdgeBackendSpec, { ca, clientCert, clientKey }: AccountCredentials): HttpTls {
  const serverName = spec.tls?.serverName;
  return {
    ...(ca !== undefined && { ca }),
    ...(clientCert !== undefined && { clientCert }),
    ...(clientKey !== undefined && { clientKey }),
    ...(serverName !== undefined && { serverName }),
  };
}

function timesOf(spec: EdgeBackendSpec, { timings }: BackendDeps, settleMs: number): HttpSessionTimes {
  const seconds = { ...BACKEND_DEFAULTS, ...spec };
  return {
    pollMs: timings.observeIntervalMs ?? seconds.observeIntervalSeconds * 1000,
    settleMs: timings.settleMs ?? settleMs,
    commandTimeoutMs: seconds.commandTimeoutSeconds * 1000,
    createTimeoutMs: seconds.createTimeoutSeconds * 1000,
  };
}

/** Identity of a target: the vendor, the server without its scheme, since TLS or not it is the same, and the vendor's id. */
export function targetKeyOf(type: BackendType, origin: string, id: string): string {
  return `${type} ${origin.replace(/^[a-z]+:\/\//, "")} ${id}`;
}

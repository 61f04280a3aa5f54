/** One EdgeBackend of type Hiveon: its account, the sessions of its machines, what our own ids are worth, and the vendor's webhooks. */
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
import { HttpAccount, targetKeyOf } from "../http/account.ts";
import { PROBE_ID } from "./ids.ts";
import type { SessionDeps } from "./parts.ts";
import { HiveonSession } from "./session.ts";
import { WebhookReader } from "./webhook.ts";
import { statusPath } from "./wire.ts";
import { Witness } from "./witness.ts";

/** The vendor documents no limit; this is what the client keeps to unless EdgeBackend.spec.rateLimit says otherwise. */
export const HIVEON_LIMITS = { requestsPerSecond: 1, burst: 5, concurrency: 2 } as const;

type HiveonSpec = NonNullable<EdgeBackendSpec["hiveon"]>;

export class HiveonAccount implements Account {
  readonly #http: HttpAccount<HiveonSession>;
  readonly #hiveon: HiveonSpec;
  readonly #deps: BackendDeps;
  readonly #webhooks: WebhookReader;
  readonly #witness: Witness;
  /** What was told of, so that each is told once. */
  readonly #told = new Set<string>();
  #lookupBroken: string | undefined;

  /** @param settleMs default of Backend.settleMs. */
  constructor(
    spec: EdgeBackendSpec,
    hiveon: HiveonSpec,
    credentials: AccountCredentials,
    deps: BackendDeps,
    settleMs: number,
  ) {
    this.#hiveon = hiveon;
    this.#deps = deps;
    this.#webhooks = new WebhookReader(credentials.webhookSecret);
    this.#witness = new Witness(() => {
      for (const session of this.#http.sessions) session.pollNow();
    });
    this.#http = new HttpAccount(
      {
        type: "hiveon",
        url: hiveon.url ?? BACKEND_DEFAULTS.hiveon.url,
        authHeaders: { "x-api-key": credentials.apiKey ?? "" },
        limits: HIVEON_LIMITS,
        settleMs,
        probe: { path: statusPath(PROBE_ID) },
        forbidden: "Refused",
      },
      spec,
      credentials,
      deps,
    );
  }

  get endpoint(): string {
    return this.#http.endpoint;
  }

  status(): AccountStatus {
    return this.#http.status();
  }

  subscribe(listener: (status: AccountStatus) => void, notice?: (notice: AccountNotice) => void): () => void {
    return this.#http.subscribe(listener, notice);
  }

  openDevice({ hiveon }: EdgeDeviceSpec): DeviceSession {
    if (hiveon === undefined)
      throw new TargetError("WrongDeviceKind", "the EdgeBackend is of type hiveon: set spec.hiveon.machineId");
    const { machineId, machinePriceId } = hiveon;
    const { times, sessionDeps, endpoint } = this.#http;
    return this.#http.openSession(
      machineId,
      (closed) =>
        new HiveonSession(
          {
            ...times,
            targetKey: targetKeyOf("hiveon", endpoint, machineId),
            machineId,
            machinePriceId,
            externalIdPath: this.#hiveon.externalIdPath,
          },
          { ...sessionDeps, lookup: this.#lookup(), witness: this.#witness, closed },
        ),
      (open) => open.options.machinePriceId === machinePriceId,
    );
  }

  webhook(raw: Buffer, headers: Readonly<Record<string, string | string[] | undefined>>): WebhookVerdict {
    const header = headers["x-webhook-signature"];
    const { verdict, ids } = this.#webhooks.read(
      raw,
      typeof header === "string" ? header : undefined,
      this.#deps.clock.now(),
    );
    if (verdict === "Malformed") this.#deps.metrics.malformed("hiveon", "Webhook");
    if (ids.length > 0) for (const session of this.#http.sessions) if (session.hinted(ids)) break;
    return verdict;
  }

  close(): Promise<void> {
    return this.#http.close();
  }

  #lookup(): SessionDeps["lookup"] {
    const broken = (): string | undefined => this.#lookupBroken;
    return {
      get broken() {
        return broken();
      },
      report: (message) => {
        this.#lookupBroken ??= message;
        this.#tell(this.#lookupBroken);
      },
      tell: (message) => this.#tell(message),
    };
  }

  #tell(message: string): void {
    if (this.#told.has(message)) return;
    this.#told.add(message);
    this.#deps.log.error({ endpoint: this.endpoint }, message);
    this.#http.notice({ reason: "LookupFailed", type: "Warning", message });
  }
}

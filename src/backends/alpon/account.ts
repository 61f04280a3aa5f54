/** One EdgeBackend of type ALPON: its account, and the sessions of its devices. */
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
import { HttpAccount, targetKeyOf } from "../http/account.ts";
import { dialectOf, type AlponDialect } from "./dialect.ts";
import { AlponSession } from "./session.ts";

/** The vendor documents no limit, only that 429 is to be answered by patience. */
export const ALPON_LIMITS = { requestsPerSecond: 5, burst: 10, concurrency: 4 } as const;

/** The list of assets is asked for the status of its answer only. */
const LARGEST_PROBE = 64 * 1_048_576;

type AlponSpec = NonNullable<EdgeBackendSpec["alpon"]>;

export class AlponAccount implements Account {
  readonly #http: HttpAccount<AlponSession>;
  readonly #dialect: AlponDialect;

  /** @param settleMs default of Backend.settleMs. */
  constructor(
    spec: EdgeBackendSpec,
    alpon: AlponSpec,
    credentials: AccountCredentials,
    deps: BackendDeps,
    settleMs: number,
  ) {
    this.#dialect = dialectOf(alpon.dialect);
    this.#http = new HttpAccount(
      {
        type: "alpon",
        url: alpon.url ?? BACKEND_DEFAULTS.alpon.url,
        authHeaders: { [this.#dialect.authHeader.toLowerCase()]: credentials.apiKey ?? "" },
        limits: ALPON_LIMITS,
        settleMs,
        probe: { path: this.#dialect.paths.assets, maxBytes: LARGEST_PROBE, onData: () => undefined },
        forbidden: "Doubted",
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

  openDevice({ alpon }: EdgeDeviceSpec): DeviceSession {
    if (alpon === undefined)
      throw new TargetError("WrongDeviceKind", "the EdgeBackend is of type alpon: set spec.alpon.assetId");
    const { assetId } = alpon;
    const { times, sessionDeps, endpoint } = this.#http;
    return this.#http.openSession(
      assetId,
      (closed) =>
        new AlponSession(
          {
            ...times,
            targetKey: targetKeyOf("alpon", endpoint, assetId),
            assetId,
            dialect: this.#dialect,
            // A slow link may be silent for longer than a command should take.
            idleTimeoutMs: times.commandTimeoutMs * 2,
          },
          { ...sessionDeps, firstOf: (asking, ids) => this.#firstOf(asking, ids), closed },
        ),
    );
  }

  close(): Promise<void> {
    return this.#http.close();
  }

  #firstOf(asking: AlponSession, ids: readonly string[]): AlponSession | undefined {
    for (const session of this.#http.sessions) {
      if (session === asking) return undefined;
      if (session.isOneOf(ids)) return session;
    }
    return undefined;
  }
}

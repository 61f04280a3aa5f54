/** One EdgeBackend of type mittwald: its account, the projects that are looked at, and the sessions of its stacks. */
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
import { restMs } from "./answers.ts";
import { MittwaldClient } from "./client.ts";
import { TagLooks } from "./images.ts";
import { Project } from "./project.ts";
import { MittwaldRegistries } from "./registries.ts";
import { MittwaldSession } from "./session.ts";
import { MittwaldStacks } from "./stacks.ts";

/** The vendor publishes no number; what it allows comes with each answer. */
export const MITTWALD_LIMITS = { requestsPerSecond: 10, burst: 20, concurrency: 4 } as const;

/** The probe asks for one stack; it may have many services. */
const LARGEST_PROBE = 16 * 1_048_576;

type MittwaldSpec = NonNullable<EdgeBackendSpec["mittwald"]>;

export class MittwaldAccount implements Account {
  readonly #http: HttpAccount<MittwaldSession>;
  readonly registries: MittwaldRegistries;
  readonly #client: MittwaldClient;
  readonly stacks: MittwaldStacks;
  readonly #tags: TagLooks;
  readonly #projects = new Map<string, Project>();

  /** @param settleMs default of Backend.settleMs. */
  constructor(
    spec: EdgeBackendSpec,
    mittwald: MittwaldSpec,
    credentials: AccountCredentials,
    deps: BackendDeps,
    settleMs: number,
  ) {
    const token = credentials.apiKey ?? "";
    this.#http = new HttpAccount(
      {
        type: "mittwald",
        url: mittwald.url ?? BACKEND_DEFAULTS.mittwald.url,
        authHeaders: { "x-access-token": token },
        limits: MITTWALD_LIMITS,
        restMs,
        settleMs,
        probe: { path: "/v2/stacks?limit=1", maxBytes: LARGEST_PROBE, onData: () => undefined },
        // 403 is what something that is not there is answered with.
        forbidden: "Doubted",
      },
      spec,
      credentials,
      deps,
    );
    const { clock, send } = this.#http.sessionDeps;
    this.#client = new MittwaldClient({
      clock,
      send,
      secrets: [token],
      malformed: (kind) => deps.metrics.malformed("mittwald", kind),
    });
    const client = this.#client;
    this.#tags = new TagLooks(clock, (image, projectId) => client.imageConfig(image, projectId));
    this.registries = new MittwaldRegistries(this.#client, clock);
    this.stacks = new MittwaldStacks(this.#client, clock, (projectId) => this.#projects.get(projectId)?.latest);
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

  openDevice({ mittwald }: EdgeDeviceSpec): DeviceSession {
    if (mittwald === undefined)
      throw new TargetError("WrongDeviceKind", "the EdgeBackend is of type mittwald: set spec.mittwald.projectId");
    const { projectId, stackId } = mittwald;
    const { times, sessionDeps, endpoint } = this.#http;
    const target = targetOf(projectId, stackId);
    return this.#http.openSession(target, (closed) => {
      const project = this.#projectOf(projectId);
      return new MittwaldSession(
        { ...times, targetKey: targetKeyOf("mittwald", endpoint, target), projectId, stackId },
        {
          ...sessionDeps,
          client: this.#client,
          project,
          tags: this.#tags,
          firstOf: (id) => this.#firstOf(id),
          closed: (session) => {
            if (!project.leave(session) && this.#projects.get(projectId) === project) this.#projects.delete(projectId);
            closed(session);
          },
        },
      );
    });
  }

  close(): Promise<void> {
    return this.#http.close();
  }

  #projectOf(projectId: string): Project {
    const existing = this.#projects.get(projectId);
    if (existing !== undefined) return existing;
    const project = new Project(projectId, this.#http.times.pollMs, this.#client, this.#http.sessionDeps);
    this.#projects.set(projectId, project);
    return project;
  }

  #firstOf(stackId: string): MittwaldSession | undefined {
    for (const session of this.#http.sessions) if (session.stackId === stackId) return session;
    return undefined;
  }
}

/** What a device names. The default stack's id is the project's (OpenAPI, stackId). */
export function targetOf(projectId: string, stackId: string | undefined): string {
  return `${projectId} ${stackId ?? projectId}`;
}

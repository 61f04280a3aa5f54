// Words of the mittwald simulator: what it is made with, its quirks, the bodies it answers with, and what its books tell.

import type { Clock } from "../clock.ts";
import type { FaultRule, HttpEffect } from "../http-server.ts";
import type { Operation } from "./operations.ts";

/** The four kinds of status that a container has, and the three on the way. */
export type ServiceStatus = "running" | "stopped" | "error" | "creating" | "starting" | "stopping";

export type RestartPolicy = "no" | "always" | "on-failure" | "unless-stopped";

/** A definition of a container as answers show it. */
export interface ServiceState {
  image: string;
  imageDigest?: string;
  command?: readonly string[];
  entrypoint?: readonly string[];
  envs?: Readonly<Record<string, string>>;
  /** In no page, but in recordings. */
  envOrder?: readonly string[];
  ports?: readonly string[];
  volumes?: readonly string[];
}

export interface Deploy {
  resources?: { limits?: { cpus?: string; memory?: string } };
}

export interface ServiceBody {
  id: string;
  shortId: string;
  stackId: string;
  projectId: string;
  serviceName: string;
  description: string;
  status: ServiceStatus;
  /** ISO 8601 with milliseconds. */
  statusSetAt: string;
  message?: string;
  requiresRecreate: boolean;
  pendingState: ServiceState;
  deployedState: ServiceState;
  deploy?: Deploy;
  restartPolicy?: RestartPolicy;
}

export interface VolumeBody {
  id: string;
  stackId: string;
  name: string;
  orphaned: boolean;
  /** Not there when there are none (recorded). */
  linkedServices?: readonly string[];
  storageUsageInBytes: number;
  storageUsageInBytesSetAt: string;
}

export interface UpdateSchedule {
  cron: string;
  timezone?: string;
}

/** A stack without what is in it. */
export interface StackBody {
  id: string;
  projectId: string;
  description: string;
  disabled: boolean;
  prefix: string;
  updateSchedule?: UpdateSchedule | null;
}

export interface RegistryBody {
  id: string;
  projectId: string;
  uri: string;
  description: string;
  credentials?: { username: string; valid: boolean };
}

/** What the vendor's pages leave open, and chaos. Each can be changed while it runs. Durations in ms of the simulator's clock. */
export interface Quirks {
  /** How late a stack, its services and its volumes are seen as they are. Default 0. */
  lagMs: number;
  /** How much later than that the lists of a project see it. Default 0. */
  listLagMs: number;
  /** Every second read that waits for no event comes from a replica that is so much further behind. Default 0. */
  olderReadsMs: number;
  /** Nothing new is seen at all: every wait for an event ends in 412. Default false. */
  readsStuck: boolean;
  /** Writes to what is not visible yet are refused like reads of it. Default true. */
  writesSeeLag: boolean;
  /** Answer for a project, stack or registry that is not there or not visible. Default 403. */
  unknownStack: 403 | 404;
  /** Answer for a service or volume that is not there or not visible. Default 404. */
  unknownService: 403 | 404;
  /** Omitted `deploy` and `restartPolicy` of a PUT: `reset` to their defaults, or `keep`. Default `reset`. */
  putOmitted: "reset" | "keep";
  /** A PUT without the key `services` (or `volumes`): all of them are gone, or all stay. Default `empty`. */
  putWithoutKey: "empty" | "keep";
  /** A PUT recreates by itself what requires it. Default false. */
  putRecreates: boolean;
  /** What `PATCH ?recreate=true` recreates: all services of the stack, or those that require it. Default `all`. */
  patchRecreates: "all" | "required";
  /** `{}` in a PATCH for a name that is not there. Default `ignore`. */
  emptyForUnknown: "ignore" | 400;
  /** A third part of a volume, `:ro`. Default `refuse`. */
  volumeMode: "refuse" | "accept";
  /** How ports come back: `80/tcp`, `80:80/tcp`, or as they were sent. Default `short`. */
  portsEcho: "short" | "long" | "given";
  /** Official images come back with `library/`. Default true. */
  libraryPrefix: boolean;
  /** An image that cannot be pulled: the container stays `creating` (or `starting`), or becomes `error`. Default `stays`. */
  pullFailure: "stays" | "error";
  /** A process that ended with code 0 and is not restarted. Default `stopped`. */
  exited: "stopped" | "error";
  /** A recreate or a pull starts a stopped container. Default true. */
  recreateStarts: boolean;
  /** After a restart, recreate, stop or start the status stays what it was for so long. Default 0. */
  actionLagMs: number;
  /** `statusSetAt` has whole seconds, as in recordings: what happens within one second does not move it. Default false, since tests live faster. */
  statusSeconds: boolean;
  /** Deletion of a project's default stack: it is emptied, volumes and all, or refused with 412. Default `empty`. */
  deleteDefaultStack: "empty" | "refuse";
  /** Stacks of one project beyond which another is 409. Default: no limit. */
  mostStacks: number | undefined;
  /** Credentials that a registry does not take: stored all the same, or refused with 412. Default `accept`. */
  badCredentials: "accept" | 412;
  /** How late after a change `credentials.valid` says what is so. Until then it says what it said, `true` at first. Default 60000. */
  credentialsCheckMs: number;
  /** An update schedule recreates every container each time, or those with a new image. Default `changed`. */
  scheduleRecreates: "all" | "changed";
  /** The digest that container-image-config tells is of another kind than that of a container. Default false. */
  otherDigest: boolean;
  /** Requests in a window beyond which it is 429. Default 3000. */
  rateLimit: number;
  /** Its window. Default 60000. */
  rateWindowMs: number;
  /** The same for container-image-config alone. Default 100. */
  imageConfigLimit: number;
  /** NUL bytes before a log. Default 0. */
  logNuls: number;
  /** The connection breaks off in the middle of a log. Default false. */
  logTruncated: boolean;
  /** Logs answer 503. Default false. */
  logsUnavailable: boolean;
  /** Lines that are kept of a log. Default 5000. */
  logLines: number;
  /** Shown in place of `starting`. Default: nothing. */
  unknownStatus: string | undefined;
  /** Answers have fields that no page has. Default false. */
  extraFields: boolean;
}

export const DEFAULT_QUIRKS: Quirks = {
  lagMs: 0,
  listLagMs: 0,
  olderReadsMs: 0,
  readsStuck: false,
  writesSeeLag: true,
  unknownStack: 403,
  unknownService: 404,
  putOmitted: "reset",
  putWithoutKey: "empty",
  putRecreates: false,
  patchRecreates: "all",
  emptyForUnknown: "ignore",
  volumeMode: "refuse",
  portsEcho: "short",
  libraryPrefix: true,
  pullFailure: "stays",
  exited: "stopped",
  recreateStarts: true,
  actionLagMs: 0,
  statusSeconds: false,
  deleteDefaultStack: "empty",
  mostStacks: undefined,
  badCredentials: "accept",
  credentialsCheckMs: 60_000,
  scheduleRecreates: "changed",
  otherDigest: false,
  rateLimit: 3000,
  rateWindowMs: 60_000,
  imageConfigLimit: 100,
  logNuls: 0,
  logTruncated: false,
  logsUnavailable: false,
  logLines: 5000,
  unknownStatus: undefined,
  extraFields: false,
};

export interface ProjectOptions {
  /** A UUID. Default: one made from the seed. */
  id?: string;
  /** `p-` and six lower-case letters or digits. Default: made from the seed. */
  shortId?: string;
  /** The default stack is there so much later. Default 0. */
  defaultStackDelayMs?: number;
}

export interface MittwaldOptions {
  /** Port on 127.0.0.1. Default: a free one. */
  port?: number;
  /** May read and write. Default `mittwald-token`. */
  token?: string;
  /** May only read. Default: there is none. */
  readToken?: string;
  /** Default: one. */
  projects?: readonly ProjectOptions[];
  clock?: Clock;
  /** How long a pull takes. Default 1000. */
  pullMs?: number;
  /** From the creation of a container to `running`. Default 500. */
  startMs?: number;
  /** From a stop to `stopped`. Default 200. */
  stopMs?: number;
  /** Between two attempts to pull an image that is not there. Default 5000. */
  pullRetryMs?: number;
  quirks?: Partial<Quirks>;
  /** Makes ids repeatable. Default `mittwald`. */
  seed?: string;
  log?: (line: string) => void;
}

/** Who did something: the API's client, a human in mStudio, a webhook's caller, an update schedule, or the vendor's restart policy. */
export type Actor = "api" | "human" | "webhook" | "schedule" | "vendor";

export type EffectKind =
  | "created"
  | "edited"
  | "recreated"
  | "restarted"
  | "started"
  | "stopped"
  | "pulled"
  | "exited"
  | "removed";

/** Something that happened to a container. */
export interface ServiceEffect {
  readonly atMs: number;
  readonly kind: EffectKind;
  readonly by: Actor;
  readonly serviceId: string;
  readonly stackId: string;
  readonly serviceName: string;
  /** A running container stopped running by it. */
  readonly downtime: boolean;
}

/** How often each kind happened, and how often a running container stopped running. */
export type EffectCounts = Readonly<Record<EffectKind | "downtimes", number>>;

/** A request as it came. Bodies may hold secrets: they are for tests, and the control endpoint does not show them. */
export interface SeenRequest {
  readonly operation: Operation | "other";
  readonly method: string;
  /** With the query; a webhook's token is taken out. */
  readonly path: string;
  readonly body: unknown;
  readonly ifEventReached: string | undefined;
  /** The event id that was answered. */
  readonly etag: string | undefined;
  /** What was answered; undefined while it is open, 0 where the connection was broken instead. */
  readonly status: number | undefined;
}

/** What befalls a request. */
export type Effect =
  | HttpEffect
  /** It is carried out, and once more so much later, as a gateway does that tries again. */
  | { kind: "duplicate"; ms: number }
  /** It is done, and the answer breaks off in its middle. */
  | { kind: "cut" }
  /** Nothing is done, and the answer is what it would be of a change that changes nothing. Only PUT and PATCH of stacks. */
  | { kind: "pretend" }
  /** Something happens right before it is carried out. Only in tests. */
  | { kind: "run"; run: () => void };

/** One operation, all that write, or all that read. */
export type Match = Operation | "writes" | "reads";

export type Rule = FaultRule<Match, Effect>;

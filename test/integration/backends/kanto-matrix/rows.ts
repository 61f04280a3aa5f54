/**
 * The rows of the matrix: every operation of the vendor's pages, as it is used. Eight are commands of the contract, sent by a session as
 * the reconciler would; plain `create` and `stop` exist by hand only.
 */
import type { Command, CommandAction, ObservedContainer } from "../../../../src/backends/contract.ts";
import type { Call, OperationName } from "../../../../src/backends/kanto/client/operations.ts";
import { kantoPlanner } from "../../../../src/backends/kanto/planner/index.ts";
import { desired, MARKER, succeed, until, type ConformanceProcess } from "../../../conformance/harness.ts";

/** Host port of every container of ours: something to quarrel about. */
export const PORT = 18_080;
/** Pulled slowly enough to be struck in the middle of it. */
export const IMAGE = "registry.example/matrix/sleeper:1";
/** The same behaviour under a name that no fault of ours is for. */
export const THEIR_IMAGE = "registry.example/theirs/sleeper:1";
/** The operation that the create of the matrix is journalled as. */
export const OPERATION = "op-matrix";

const wanted = () => desired(IMAGE, { ports: [{ containerPort: 80, hostPort: PORT }] });
/** What the Update brings about. */
const changed = () =>
  desired(IMAGE, {
    ports: [{ containerPort: 80, hostPort: PORT }],
    restartPolicy: { type: "OnFailure", maxRetries: 2 },
    resources: { limits: { memory: "64Mi" } },
  });

/** How a container is before the operation: which steps lead there. */
type Before = "absent" | "created" | "running" | "paused";

export type Row = {
  before: Before;
} & (
  | {
      by: "session";
      kind: Command["kind"];
      action(container: ObservedContainer | undefined): CommandAction;
      /** What was wanted is so. */
      holds(container: ObservedContainer | undefined): boolean;
    }
  | { by: "hand"; call(container: string): Call }
);

const idOf = (container: ObservedContainer | undefined): string => container?.externalId ?? "gone";
const inState =
  (...states: readonly ObservedContainer["state"][]) =>
  (container: ObservedContainer | undefined): boolean =>
    container !== undefined && states.includes(container.state);

export const ROWS = {
  createWithConfig: {
    before: "absent",
    by: "session",
    kind: "Create",
    action: () => ({ kind: "Create", desired: wanted(), marker: { ...MARKER, operation: OPERATION } }),
    holds: (container) => container !== undefined,
  },
  start: {
    before: "created",
    by: "session",
    kind: "Start",
    action: (container) => ({ kind: "Start", externalId: idOf(container) }),
    // A process that has ended by itself was started.
    holds: (container) => inState("Running", "Exited")(container),
  },
  stopWithOptions: {
    before: "running",
    by: "session",
    kind: "Stop",
    action: (container) => ({
      kind: "Stop",
      externalId: idOf(container),
      signal: "SIGTERM",
      timeoutSeconds: 1,
      force: true,
    }),
    holds: inState("Stopped", "Exited"),
  },
  pause: {
    before: "running",
    by: "session",
    kind: "Pause",
    action: (container) => ({ kind: "Pause", externalId: idOf(container) }),
    holds: inState("Paused"),
  },
  resume: {
    before: "paused",
    by: "session",
    kind: "Resume",
    action: (container) => ({ kind: "Resume", externalId: idOf(container) }),
    holds: inState("Running"),
  },
  rename: {
    before: "running",
    by: "session",
    kind: "Rename",
    action: (container) => ({ kind: "Rename", externalId: idOf(container), name: "renamed" }),
    holds: (container) => container?.name === "renamed",
  },
  update: {
    before: "running",
    by: "session",
    kind: "Update",
    action: (container) => {
      if (container === undefined) return { kind: "Update", externalId: "gone", payload: { resources: {} }, paths: [] };
      return kantoPlanner.update(changed(), container, []);
    },
    holds: (container) =>
      container !== undefined && !kantoPlanner.diff(changed(), container, []).some(({ effect }) => effect === "Update"),
  },
  remove: {
    before: "running",
    by: "session",
    kind: "Remove",
    action: (container) => ({ kind: "Remove", externalId: idOf(container) }),
    holds: (container) => container === undefined,
  },
  create: {
    before: "absent",
    by: "hand",
    call: () => ({ operation: "create", value: { imageRef: IMAGE } }),
  },
  stop: {
    before: "running",
    by: "hand",
    call: (container) => ({ operation: "stop", container, value: {} }),
  },
} as const satisfies Record<OperationName, Row>;

/** Each command of the contract has a row of its own: a new one is missing here until it has. */
export const ROW_OF = {
  Create: "createWithConfig",
  Start: "start",
  Stop: "stopWithOptions",
  Pause: "pause",
  Resume: "resume",
  Rename: "rename",
  Update: "update",
  Remove: "remove",
} as const satisfies Record<Command["kind"], OperationName>;

export const ROW_NAMES = Object.keys(ROWS) as readonly OperationName[];

/** Brings the container to where the operation begins. @returns its id, if there is one. */
export async function prepare(ours: ConformanceProcess, before: Before): Promise<string | undefined> {
  if (before === "absent") return undefined;
  const marker = { ...MARKER, operation: "op-before" };
  const ready = () => until(() => isFree(ours), "a session that takes commands");
  await ready();
  const id = await succeed(ours, { kind: "Create", desired: wanted(), marker }, "op-before.1");
  if (before === "created") return id;
  await ready();
  await succeed(ours, { kind: "Start", externalId: id });
  const state = () => ours.session.snapshot().containers.find(({ externalId }) => externalId === id)?.state;
  await until(() => state() === "Running", "the start before the operation");
  await ready();
  if (before === "paused") await succeed(ours, { kind: "Pause", externalId: id });
  return id;
}

/** In sync, and nothing in flight. */
function isFree({ session }: ConformanceProcess): boolean {
  const { synced, inFlight } = session.snapshot();
  return synced && inFlight === undefined;
}

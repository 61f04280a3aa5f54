/**
 * The one effect of a pass. Order: slot, finalizer, journal, effect. Each write before the effect is acknowledged by the API
 * server first, so that a process killed at any instruction leaves either no effect or one that is written down.
 */
import { EVENT_REASONS } from "../event-reasons.ts";
import type { Command, CommandAction } from "../../backends/contract.ts";
import type { Operation } from "../../crds/edge-container.ts";
import { formatTime } from "../../controller/conditions.ts";
import type { Logger } from "../../controller/logging.ts";
import { keyOf, keyString } from "../../kube/resource.ts";
import type { Environment } from "../environment.ts";
import { addFinalizer } from "../finalizer.ts";
import { recordFailure } from "./observe.ts";
import { closedInVain, fingerprint, type ContainerMemory } from "./memory.ts";
import type { Step, TrialFailure } from "./plan/types.ts";
import type { Scope, Target } from "./scope.ts";
import { announceDrift } from "./drift.ts";
import { computeStatus } from "./status.ts";

/** What the pass must do after acting. */
export interface Acted {
  /** Look again at once: the next step follows from what was just written. */
  again: boolean;
  /** Look again in so many ms: a command could not be sent for a reason that no event tells the end of. */
  retryInMs?: number;
}

/** After a refusal by the fence or a busy socket. */
const REFUSED_RETRY_MS = 1_000;

const IDLE: Acted = { again: false };

/** Carries out the plan's step, if it has an effect and nothing forbids it. */
export async function act(
  scope: Scope,
  target: Target,
  memory: ContainerMemory,
  env: Environment,
  log: Logger,
): Promise<Acted> {
  const step = scope.plan?.step;
  if (step?.type === "Adopt" && scope.settings.policy.managementPolicy === "Observe")
    return adopt(scope, target, step.externalId, env);
  if (step === undefined || !isEffect(step) || isHeld(scope)) return step?.type === "Close" ? { again: true } : IDLE;
  const key = keyString(keyOf(scope.object));
  const device = target.session.targetKey;
  if (target.session.snapshot().inFlight !== undefined || !env.slots.reserve(device, key)) {
    env.slots.wait(device, key);
    return IDLE;
  }
  try {
    scope.object = await addFinalizer(env, env.resources.containers, scope.object);
    switch (step.type) {
      case "Adopt":
        return adopt(scope, target, step.externalId, env);
      case "Restart":
        await journal(scope, step.operation, env);
        return { again: true };
      case "RollBack":
        noteRollBack(scope, step.because, memory);
        await journal(scope, step.operation, env);
        log.warn(
          { operation: step.operation.id, generation: step.operation.generation, reason: step.because.reason },
          "the new container failed: going back to the old one",
        );
        return { again: true };
      case "Create":
      case "Recreate":
      case "Swap":
        await journal(scope, step.operation, env);
        env.metrics.operationOpened(step.type);
        log.info(
          { operation: step.operation.id, generation: step.operation.generation, step: step.type },
          "creating the container",
        );
        env.events.record(
          scope.object,
          "Normal",
          EVENT_REASONS.Creating,
          `Creating container "${scope.desired?.name ?? ""}" from ${scope.desired?.image ?? ""}`,
        );
        return send(scope, target, memory, env, log, createAction(scope, target, step.operation, env), step.operation);
      default:
        return send(scope, target, memory, env, log, step.action);
    }
  } finally {
    env.slots.release(device, key);
  }
}

type Effect = Exclude<Step, { type: "None" | "Wait" | "Reject" | "Close" }>;

function isEffect(step: Step): step is Effect {
  return step.type !== "None" && step.type !== "Wait" && step.type !== "Reject" && step.type !== "Close";
}

/** Suspension and --read-only stop acting, except that a deletion goes on while suspended. */
function isHeld(scope: Scope): boolean {
  if (scope.readOnly) return true;
  return scope.suspendedBy !== undefined && scope.object.metadata.deletionTimestamp === undefined;
}

/** From the next pass on the evidence is being removed: what failed, and why, is written down with the decision. */
function noteRollBack(scope: Scope, { reason, failure }: TrialFailure, memory: ContainerMemory): void {
  const generation = scope.object.metadata.generation ?? 0;
  scope.failed = { hash: scope.hash ?? "", generation, reason, time: formatTime(scope.nowMs) };
  scope.failure = {
    failure,
    atMs: scope.failure?.failure === failure ? scope.failure.atMs : scope.nowMs,
    generation,
    ...(scope.operation !== undefined && { operationId: scope.operation.id }),
  };
  // The way back is not held up by what went wrong on the way forward.
  delete scope.backoff;
  delete memory.unsaved;
}

/** The journal entry, acknowledged, at the very version that the decision was made on. */
async function journal(scope: Scope, operation: Operation, env: Environment): Promise<void> {
  const account = scope.target?.identity;
  scope.operation = account === undefined ? operation : { ...operation, account };
  const type = scope.plan?.step.type;
  if (type === "Restart" || type === "Recreate" || type === "Swap") delete scope.restartRequest;
  const before = scope.object.status;
  const after = computeStatus(scope);
  const { object } = await env.statusWriter.write(env.resources.containers, scope.object, after, { atVersion: true });
  scope.object = object;
  announceDrift(scope, before, after, env);
}

function adopt(scope: Scope, target: Target, externalId: string, env: Environment): Acted {
  const primary = target.snapshot.containers.find((container) => container.externalId === externalId);
  if (scope.plan === undefined || primary === undefined) return IDLE;
  const differences =
    scope.desired === undefined
      ? []
      : target.planner.diff(scope.desired, primary, scope.object.status?.applied?.paths ?? []);
  scope.plan = { ...scope.plan, primary, differences };
  env.events.record(
    scope.object,
    "Normal",
    EVENT_REASONS.Adopted,
    `Adopted container ${externalId} ("${primary.name}")`,
  );
  return { again: true };
}

function createAction(scope: Scope, target: Target, operation: Operation, env: Environment): CommandAction {
  const { desired, hash, object } = scope;
  if (desired === undefined || hash === undefined) throw new Error("a create without a desired container");
  const { namespace = "", name, uid } = object.metadata;
  return {
    kind: "Create",
    desired,
    marker: { owner: env.options.ownerId, namespace, name, uid, operation: operation.id, hash },
    ...(target.planner.rentals !== undefined && { attempt: operation.attempt }),
  };
}

function send(
  scope: Scope,
  target: Target,
  memory: ContainerMemory,
  env: Environment,
  log: Logger,
  action: CommandAction,
  operation?: { id: string; attempt: number },
): Acted {
  const key = keyString(keyOf(scope.object));
  const commandId = operation === undefined ? env.newId() : `${operation.id}.${operation.attempt}`;
  const command: Command = { ...action, commandId, key };
  const externalId = action.kind === "Create" ? undefined : action.externalId;
  const before = target.session.snapshot().containers.find((container) => container.externalId === externalId);
  const dispatch = target.session.execute(command);
  if (!dispatch.sent) {
    log.debug({ command: action.kind, reason: dispatch.reason }, "command not sent");
    if (dispatch.reason === "SlotBusy") env.slots.wait(target.session.targetKey, key);
    if (dispatch.reason === "Invalid") {
      // Nothing was sent: the operation ends here, and the failure says what to change.
      if (operation !== undefined) {
        memory.closed = closedInVain(operation.id, dispatch.failure);
        delete scope.operation;
      }
      recordFailure(scope, dispatch.failure, memory);
    } else if (operation !== undefined) memory.closed = closedInVain(operation.id);
    const waits = dispatch.reason === "SlotBusy" || dispatch.reason === "Invalid";
    return waits ? IDLE : { again: false, retryInMs: REFUSED_RETRY_MS };
  }
  memory.sent = {
    commandId,
    kind: action.kind,
    session: target.session,
    before: fingerprint(before),
    ...(operation !== undefined && { operationId: operation.id }),
    ...(externalId !== undefined && { externalId }),
  };
  log.info(
    {
      command: action.kind,
      generation: scope.object.metadata.generation,
      ...(operation !== undefined && { operation: operation.id }),
      ...(externalId !== undefined && { container: externalId }),
    },
    "command sent",
  );
  return IDLE;
}

/**
 * The operator around plan() as a model, for properties of whole rollouts: a status that is written at the end of a pass, a journal
 * that is written before an effect, and a process that can be killed before or after the effect, or miss the answer to it.
 */
import type { DesiredContainer } from "../../../src/backends/contract.ts";
import type { BackendFailure } from "../../../src/backends/errors.ts";
import type { Operation } from "../../../src/crds/edge-container.ts";
import { plan } from "../../../src/reconcilers/edge-container/plan/plan.ts";
import type { Identity, PlanInput, PlanPolicy, Step } from "../../../src/reconcilers/edge-container/plan/types.ts";
import { accountRuns, type RunHistory } from "../../../src/reconcilers/edge-container/runs.ts";
import { modelPlanner, type ModelDevice } from "./model-device.ts";

/** What befalls a pass. Lost: done, and the answer never comes. */
export type Fate = "Whole" | "KilledBeforeEffect" | "KilledAfterEffect" | "LostReply";

/** What the API server has. */
interface Status {
  externalId?: string;
  applied?: { generation: number; hash: string; paths: string[] };
  operation?: Operation;
  failed?: { generation: number; reason: string };
  failure?: { failure: BackendFailure; operationId?: string; generation: number };
  runs?: RunHistory;
}

export class ModelOperator {
  status: Status = {};
  generation = 1;
  readonly device: ModelDevice;
  readonly me: Identity;
  readonly policy: PlanPolicy;
  desired: DesiredContainer;
  /** The open create, until it is proven to have ended. */
  #open: string | undefined;
  #closed: { id: string; failure?: BackendFailure } | undefined;
  #ids = 0;

  constructor(device: ModelDevice, me: Identity, policy: PlanPolicy, desired: DesiredContainer) {
    this.device = device;
    this.me = me;
    this.policy = policy;
    this.desired = desired;
  }

  want(desired: DesiredContainer): void {
    this.desired = desired;
    this.generation++;
  }

  /** One pass. Answers the step that was planned. */
  pass(fate: Fate): Step {
    const input = this.#input();
    const next = plan(input);
    const { step } = next;
    if ("operation" in step) this.status.operation = step.operation;
    if (step.type === "RollBack") this.status.failed = { generation: this.generation, reason: step.because.reason };
    if (fate === "KilledBeforeEffect") {
      this.#open = undefined;
      this.#closed = undefined;
      return step;
    }
    this.#effect(step, input, fate);
    if (fate === "KilledAfterEffect") {
      this.#open = undefined;
      this.#closed = undefined;
      return step;
    }
    this.#write(step, next, input);
    return step;
  }

  #input(): PlanInput {
    const { operation, failed, failure, externalId, applied, runs } = this.status;
    const open = operation !== undefined && operation.id === this.#open;
    // An unanswered create is proven to have ended one look later.
    this.#open = undefined;
    const closing = operation !== undefined && this.#closed?.id === operation.id ? this.#closed.failure : undefined;
    return {
      now: this.device.nowMs,
      me: this.me,
      generation: this.generation,
      desired: this.desired,
      hash: `k:${this.desired.image}`,
      planner: modelPlanner,
      policy: this.policy,
      memory: {
        wasStopped: false,
        reached: false,
        ...(externalId !== undefined && { externalId }),
        ...(applied !== undefined && { applied }),
        ...(operation !== undefined && {
          operation: {
            entry: operation,
            progress: open
              ? { state: "Open" as const }
              : { state: "Closed" as const, ...(closing !== undefined && { failure: closing }) },
          },
        }),
        hasFailed: failed?.generation === this.generation,
        ...(failure?.generation === this.generation && { failure }),
        ...(runs !== undefined && { runs }),
      },
      containers: this.device.list(),
      synced: true,
      pending: [],
      claimed: new Set(),
      freshOperationId: `op-${++this.#ids}`,
    };
  }

  #effect(step: Step, input: PlanInput, fate: Fate): void {
    switch (step.type) {
      case "Create":
      case "Recreate":
      case "Swap": {
        const { id } = step.operation;
        if (input.desired.image.includes("missing")) {
          const failure: BackendFailure = { class: "WorkloadFailed", reason: "ErrImagePull", message: "not found" };
          this.#closed = { id, failure };
        } else this.device.create(input.desired, { ...this.me, operation: id, hash: input.hash });
        if (fate === "LostReply") {
          this.#open = id;
          this.#closed = undefined;
        }
        return;
      }
      case "None":
      case "Wait":
      case "Reject":
      case "Close":
      case "Adopt":
      case "Restart":
      case "RollBack":
        return;
      default: {
        const error = this.device.apply(step.action);
        if (error === undefined || fate !== "Whole") return;
        const failure: BackendFailure = { class: "WorkloadFailed", reason: "RunContainerError", message: error };
        const { operation } = this.status;
        this.status.failure = {
          failure,
          generation: this.generation,
          ...(operation !== undefined && { operationId: operation.id }),
        };
      }
    }
  }

  #write(step: Step, next: ReturnType<typeof plan>, input: PlanInput): void {
    const { primary, operation } = next;
    if (operation === undefined) delete this.status.operation;
    else this.status.operation = operation;
    if (step.type === "None" && next.rolledBack !== true) {
      delete this.status.failed;
      delete this.status.failure;
    }
    if (this.status.failed?.generation !== this.generation) delete this.status.failed;
    if (primary === undefined) return;
    this.status.externalId = primary.externalId;
    if (next.differences.length === 0 && operation?.type !== "Swap")
      this.status.applied = { generation: this.generation, hash: input.hash, paths: ["image"] };
    const { minReadyMs, resetAfterMs } = this.policy;
    const restarts = modelPlanner.restarts(this.desired, primary);
    const history = this.status.runs ?? { restartCount: 0, crashCount: 0 };
    const runs = accountRuns(history, primary, { minReadyMs, resetAfterMs, restarts }, input.now);
    const ended = primary.runs.findLast((run) => run.finishedAt !== undefined);
    this.status.runs = {
      externalId: primary.externalId,
      restartCount: runs.restartCount,
      crashCount: runs.crashCount,
      ...(primary.startedAt !== undefined && { lastStartedAt: primary.startedAt }),
      ...(ended?.finishedAt !== undefined && {
        lastEnd: { startedAt: ended.startedAt, finishedAt: ended.finishedAt },
      }),
    };
  }
}

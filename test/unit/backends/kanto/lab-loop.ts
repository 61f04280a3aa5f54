/** plan() and the Kanto backend's encoders against the lab daemon: from a spec to a container that needs nothing more. */
import { expect } from "vitest";
import type { Command, CommandAction, DesiredContainer } from "../../../../src/backends/contract.ts";
import { commandOperation } from "../../../../src/backends/kanto/commands.ts";
import { requestPayload } from "../../../../src/backends/kanto/envelope.ts";
import { kantoPlanner } from "../../../../src/backends/kanto/index.ts";
import { Inventory } from "../../../../src/backends/kanto/inventory.ts";
import { kantoTarget, kantoTopics } from "../../../../src/backends/kanto/topics.ts";
import { plan } from "../../../../src/reconcilers/edge-container/plan/plan.ts";
import type { PlanInput, Step } from "../../../../src/reconcilers/edge-container/plan/types.ts";
import { feed, LAB_THING, type LabAnswer, type LabDaemon } from "./lab-daemon.ts";
import { judgeRequest } from "./request-judge.ts";

const ME = { owner: "factory", namespace: "line", name: "web", uid: "u1" };
const TOPICS = (() => {
  const target = kantoTarget(LAB_THING);
  if (target === undefined) throw new Error("no target");
  return kantoTopics(target);
})();

/** Encodes a command as the backend would, has the bytes judged, and hands them to the daemon. */
export async function deliver(daemon: LabDaemon, command: Command): Promise<LabAnswer | undefined> {
  const operation = commandOperation(command);
  const requestId = `${command.commandId}-1`;
  const payload = requestPayload(LAB_THING, requestId, operation);
  const topic = TOPICS.command(requestId, operation.operation);
  judgeRequest(topic, payload);
  return daemon.request(topic, payload);
}

export class LabLoop {
  readonly daemon: LabDaemon;
  readonly inventory = new Inventory(() => 0);
  /** Kinds of the steps that were carried out. */
  readonly steps: Step["type"][] = [];
  #memory: PlanInput["memory"] = { wasStopped: false, reached: false };
  #generation = 0;
  #ids = 0;

  constructor(daemon: LabDaemon) {
    this.daemon = daemon;
    feed(this.inventory, daemon.takeEvents());
  }

  /** Applies a generation of the spec until plan() says None. */
  async apply(desired: DesiredContainer): Promise<void> {
    this.#generation += 1;
    for (let pass = 0; pass < 40; pass += 1) {
      const { step, operation } = this.plan(desired);
      this.steps.push(step.type);
      const { operation: _former, ...memory } = this.#memory;
      this.#memory = {
        ...memory,
        ...(operation !== undefined && { operation: { entry: operation, progress: { state: "Closed" } } }),
      };
      if (step.type === "None") {
        const paths = kantoPlanner.paths(desired);
        this.#memory = {
          wasStopped: desired.state === "Stopped",
          reached: true,
          applied: { generation: this.#generation, hash: this.#hash(desired), paths },
        };
        return;
      }
      await this.#carryOut(step, desired);
    }
    throw new Error(`no end: ${this.steps.join(" ")}`);
  }

  /** What plan() says now. */
  plan(desired: DesiredContainer, inventory = this.inventory): ReturnType<typeof plan> {
    return plan({
      now: 1_000_000,
      me: ME,
      generation: this.#generation,
      desired,
      hash: this.#hash(desired),
      planner: kantoPlanner,
      policy: {
        managementPolicy: "Manage",
        driftPolicy: "Correct",
        updateStrategy: "Recreate",
        adoption: { policy: "Never" },
        stop: { signal: "SIGTERM", timeoutSeconds: 1, force: true },
        rollbackOnFailure: false,
        minReadyMs: 0,
        progressDeadlineMs: 600_000,
        resetAfterMs: 600_000,
        restartPatienceMs: 90_000,
      },
      memory: this.#memory,
      containers: inventory.list(),
      synced: true,
      pending: [],
      claimed: new Set(),
      freshOperationId: `op-${(this.#ids += 1)}`,
    });
  }

  /** The inventory of somebody who comes now and knows nothing. */
  async freshInventory(): Promise<Inventory> {
    await this.daemon.republish();
    const fresh = new Inventory(() => 0);
    feed(fresh, this.daemon.takeEvents(), true);
    return fresh;
  }

  #hash(desired: DesiredContainer): string {
    return `k:${JSON.stringify(kantoPlanner.identity(desired)).length}`;
  }

  async #carryOut(step: Step, desired: DesiredContainer): Promise<void> {
    switch (step.type) {
      case "Create":
      case "Recreate": {
        const marker = { ...ME, operation: step.operation.id, hash: this.#hash(desired) };
        await this.#send({ kind: "Create", desired, marker });
        return;
      }
      case "Start":
      case "Stop":
      case "Pause":
      case "Resume":
      case "Update":
      case "Rename":
      case "Remove":
        await this.#send(step.action);
        return;
      case "Close":
        return;
      case "None":
      case "Restart":
      case "Adopt":
      case "Swap":
      case "RollBack":
      case "Wait":
      case "Reject":
        throw new Error(`not expected of a single object: ${JSON.stringify(step)}`);
      default:
        step satisfies never;
    }
  }

  async #send(action: CommandAction): Promise<void> {
    const commandId = `c${(this.#ids += 1)}`;
    const answer = await deliver(this.daemon, { ...action, commandId, key: "line/web" });
    expect(answer, action.kind).toMatchObject({ status: action.kind === "Create" ? 200 : 204 });
    feed(this.inventory, this.daemon.takeEvents());
  }
}

/**
 * A model of an object whose containers are rentals: a vendor that bills, the object's recorded status, and a process that plans one step at a
 * time and may lose an answer, die between any two writes, or find its records gone.
 */
import type { DesiredContainer, ObservedContainer, RentalState } from "../../../src/backends/contract.ts";
import { hiveonPlanner } from "../../../src/backends/hiveon/planner.ts";
import type { Operation } from "../../../src/crds/edge-container.ts";
import { plan, planRemoval } from "../../../src/reconcilers/edge-container/plan/plan.ts";
import type { Plan, PlanInput, Step } from "../../../src/reconcilers/edge-container/plan/types.ts";

export type ReRent = "Never" | "OnSpecChange" | "OnFailure" | "Always";

export interface ModelRental {
  attempt: number;
  uid: string;
  operation: string;
  hash: string;
  image: string;
  state: RentalState;
}

/** What happens to a step on its way. */
export type Fate = "Works" | "DiesBeforeJournal" | "DiesAfterJournal" | "LostBefore" | "LostAfter" | "Refused";

export type Event =
  | { do: "pass"; fate: Fate }
  | { do: "settle" }
  | { do: "vendor"; moves: "on" | "fails" | "ends" }
  | { do: "edit"; image: string }
  | { do: "wish"; state: "Running" | "Stopped" }
  | { do: "allow"; reRent: ReRent }
  | { do: "restart" }
  | { do: "restartProcess" }
  | { do: "loseRecords" };

export class RentalModel {
  readonly rentals: ModelRental[] = [];
  /** Rentals that began without anybody having seen it yet. */
  #hidden: ModelRental[] = [];
  uid = 1;
  image = "a";
  state: "Running" | "Stopped" = "Running";
  reRent: ReRent = "Never";
  managementPolicy: "Manage" | "Observe" = "Manage";
  #operation: Operation | undefined;
  #closed = false;
  #external: { id: string } | undefined;
  #applied: { generation: number; hash: string; paths: string[]; state?: "Running" | "Stopped" } | undefined;
  #restart: string | undefined;
  #failed: string | undefined;
  #generation = 1;
  #ids = 0;
  /** Starts that were sent, whatever became of them, by uid. */
  readonly starts: { uid: number; reRent: ReRent }[] = [];

  /** All that cost, seen or not. */
  live(): ModelRental[] {
    return [...this.rentals, ...this.#hidden].filter(({ state }) => state !== "Stopped");
  }

  happen(event: Event): void {
    switch (event.do) {
      case "pass":
        this.pass(event.fate);
        return;
      case "settle":
        this.settle();
        return;
      case "vendor":
        this.#move(event.moves);
        return;
      case "edit":
        this.image = event.image;
        this.#generation += 1;
        return;
      case "wish":
        this.state = event.state;
        this.#generation += 1;
        return;
      case "allow":
        this.reRent = event.reRent;
        this.#generation += 1;
        return;
      case "restart":
        this.#restart = `at ${++this.#ids}`;
        return;
      case "restartProcess":
        this.#failed = undefined;
        this.#closed = false;
        return;
      case "loseRecords":
        this.uid += 1;
        this.#operation = undefined;
        this.#external = undefined;
        this.#applied = undefined;
        this.#restart = undefined;
        this.#failed = undefined;
        this.#closed = false;
        return;
      default:
        event satisfies never;
    }
  }

  /** The settle time passes: what began shows, and the open operation is known to have ended (G9). */
  settle(): void {
    this.rentals.push(...this.#hidden);
    this.#hidden = [];
    this.#closed = true;
  }

  pass(fate: Fate, deleting = false): Step["type"] {
    const input = this.#input();
    const next = deleting ? planRemoval(input, "Remove") : plan(input);
    this.#apply(next, fate, deleting);
    return next.step.type;
  }

  #apply(next: Plan, fate: Fate, deleting: boolean): void {
    const { step } = next;
    if (fate === "DiesBeforeJournal") return this.happen({ do: "restartProcess" });
    if (!("operation" in step)) this.#operation = next.operation;
    if (next.primary !== undefined && !deleting) {
      this.#external = { id: next.primary.externalId };
      const settled = next.differences.length === 0 && hiveonPlanner.rentals?.state(next.primary) !== "Stopped";
      if (settled || step.type === "None")
        this.#applied = {
          generation: this.#generation,
          hash: this.#hash(),
          paths: [],
          ...(step.type === "None"
            ? { state: this.state }
            : this.#applied?.state !== undefined && { state: this.#applied.state }),
        };
    }
    switch (step.type) {
      case "Create":
        this.#operation = step.operation;
        this.#closed = false;
        this.#restart = undefined;
        if (fate === "DiesAfterJournal") return this.happen({ do: "restartProcess" });
        this.#start(step.operation, fate);
        return;
      case "Restart":
        this.#operation = step.operation;
        this.#restart = undefined;
        return;
      case "Stop":
        if (fate === "Works" || fate === "LostAfter")
          this.#stop(step.action.kind === "Stop" ? step.action.externalId : "");
        return;
      case "Close":
        if (step.failure !== undefined) this.#failed = next.primary?.externalId;
        return;
      case "None":
      case "Wait":
      case "Reject":
        return;
      default:
        throw new Error(`a rental is never ${step.type}`);
    }
  }

  #start({ id, attempt }: Operation, fate: Fate): void {
    this.starts.push({ uid: this.uid, reRent: this.reRent });
    if (fate === "Refused") {
      this.#closed = true;
      return;
    }
    if (fate === "LostBefore") return;
    const rental: ModelRental = {
      attempt,
      uid: String(this.uid),
      operation: id,
      hash: this.#hash(),
      image: this.image,
      state: "Pending",
    };
    if (fate === "LostAfter") this.#hidden.push(rental);
    else {
      this.rentals.push(rental);
      this.#closed = true;
    }
  }

  #stop(externalId: string): void {
    const rental = this.rentals.find((each) => idOf(each) === externalId);
    if (rental !== undefined && rental.state !== "Stopped") rental.state = "Stopping";
  }

  #move(moves: "on" | "fails" | "ends"): void {
    const rental = this.live()[0];
    if (rental === undefined) return;
    if (moves === "ends") rental.state = "Stopped";
    else if (moves === "fails") rental.state = "Failed";
    else if (rental.state === "Pending") rental.state = "Running";
    else if (rental.state === "Stopping") rental.state = "Stopped";
  }

  #hash(): string {
    return `k:${this.image}`;
  }

  #input(): PlanInput {
    const operation = this.#operation;
    const unseen = this.#hidden.length > 0;
    const closed = operation?.type === "Restart" || this.#closed;
    return {
      now: 0,
      me: { owner: "o", namespace: "n", name: "web", uid: String(this.uid) },
      generation: this.#generation,
      desired: this.#desired(),
      hash: this.#hash(),
      planner: hiveonPlanner,
      policy: {
        managementPolicy: this.managementPolicy,
        driftPolicy: "Correct",
        updateStrategy: "Recreate",
        adoption: { policy: "Never" },
        stop: { signal: "SIGTERM", timeoutSeconds: 30, force: true },
        rollbackOnFailure: false,
        minReadyMs: 0,
        progressDeadlineMs: 600_000,
        resetAfterMs: 600_000,
        restartPatienceMs: 60_000,
      },
      memory: {
        wasStopped: this.#applied?.state === "Stopped",
        reached: false,
        ...(this.#external !== undefined && { externalId: this.#external.id }),
        ...(this.#applied !== undefined && { applied: this.#applied }),
        ...(operation !== undefined && {
          operation: { entry: operation, progress: { state: closed ? "Closed" : "Open" } },
        }),
        ...(this.#restart !== undefined && { restartRequest: this.#restart }),
        ...(this.#failed !== undefined && { failedExternalId: this.#failed }),
      },
      containers: this.rentals.map((rental) => observed(rental)),
      // A process without records waits the settle time before it believes that nothing is there (session.ts).
      synced: !(unseen && operation === undefined),
      pending: [],
      claimed: new Set(),
      freshOperationId: `op-${++this.#ids}`,
    };
  }

  #desired(): DesiredContainer {
    return {
      name: "web",
      image: this.image,
      state: this.state,
      env: [],
      spec: { deviceRef: { name: "rig" }, image: this.image, backendOptions: { hiveon: { reRent: this.reRent } } },
    };
  }
}

function idOf({ attempt, operation }: ModelRental): string {
  return `d-${attempt}-${operation}`;
}

function observed(rental: ModelRental): ObservedContainer {
  const { attempt, uid, operation, hash, state } = rental;
  return {
    externalId: idOf(rental),
    name: "web",
    image: rental.image,
    marker: { owner: "o", namespace: "n", name: "web", uid, operation, hash },
    state: state === "Stopped" ? "Stopped" : "Running",
    attempt,
    runs: [],
    stateSinceMs: 0,
    hostPorts: [],
    config: { state, elsewhere: false },
  };
}

/**
 * Faults at random, many at once: whatever happens on the wire, on the device and to our own process, an operation makes exactly one
 * container. The choices come from a seed, so a failure names what to run again (its timing still is the machine's).
 */
import { describe, expect, test } from "vitest";
import type { CommandOutcome } from "../../../src/backends/contract.ts";
import { createRandom } from "../../../src/simulators/random.ts";
import { desired, madeBy, MARKER, until, type ConformanceProcess } from "../../conformance/harness.ts";
import { startBroker } from "../../mqtt/broker.ts";
import { startKantoWorld, type KantoWorld } from "./kanto-harness.ts";

const OPERATIONS = 4;
const FAULTS_PER_OPERATION = 4;

/** What a reconciler remembers across the death of its process: the journal. */
interface Journal {
  operation: string;
  attempt: number;
}

class Storm {
  readonly #world: KantoWorld;
  readonly #pick: (count: number) => number;
  #process: ConformanceProcess;

  constructor(world: KantoWorld, process: ConformanceProcess, pick: (count: number) => number) {
    this.#world = world;
    this.#process = process;
    this.#pick = pick;
  }

  /** Brings one operation to its end while faults strike. */
  async carryOut(operation: string): Promise<void> {
    const journal: Journal = { operation, attempt: 0 };
    let outcome: CommandOutcome | "pending" | undefined;
    let strikes = FAULTS_PER_OPERATION;
    const image = this.#world.image(this.#pick(2) === 0 ? "sleeper" : "slow");
    let polls = 0;
    const step = (): boolean => {
      const { session } = this.#process;
      if (outcome === "pending") return false;
      if (journal.attempt > 0 && session.settle(operation) === "Open") return false;
      if (!session.snapshot().synced) return false;
      if (madeBy(this.#process, operation) !== undefined) return true;
      journal.attempt += 1;
      const dispatch = session.execute({
        kind: "Create",
        desired: desired(image, {}, operation),
        marker: { ...MARKER, operation },
        commandId: `${operation}.${journal.attempt}`,
        key: operation,
      });
      if (!dispatch.sent) return false;
      outcome = "pending";
      const sentBy = this.#process;
      void dispatch.outcome.then((ended) => {
        if (sentBy === this.#process) outcome = ended;
      });
      return false;
    };
    const deadline = performance.now() + 60_000;
    while (!step()) {
      if (performance.now() > deadline)
        throw new Error(`${operation} never ended: ${JSON.stringify(this.#process.session.snapshot())}`);
      polls += 1;
      if (strikes > 0 && polls % 4 === 0 && this.#pick(3) === 0) {
        strikes -= 1;
        if (await this.#strike()) outcome = undefined;
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** @returns true if our process died of it. */
  async #strike(): Promise<boolean> {
    const { faults } = this.#world;
    const all: (() => unknown)[] = [
      () => faults.cut(),
      () => faults.loseReply(),
      () => faults.duplicateReply(),
      () => faults.loseCommand(),
      () => faults.cutBeforeAcknowledgement(),
      () => faults.cutBeforeArrival(),
      () => faults.disconnectDevice(),
      () => faults.reboot(),
      () => this.#world.device.faults.crash(),
      () => faults.malformed(),
    ];
    const choice = this.#pick(all.length + 1);
    if (choice < all.length) {
      await all[choice]?.();
      return false;
    }
    await this.#process.kill();
    this.#process = await this.#world.start();
    return true;
  }
}

describe("a storm of faults", () => {
  test.each([1, 2, 3])("seed %i: every operation makes exactly one container", async (seed) => {
    const world = await startKantoWorld(await startBroker());
    try {
      const random = createRandom(`storm ${seed}`);
      const process = await world.start();
      await until(() => process.session.snapshot().synced, "the first inventory");
      const storm = new Storm(world, process, (count) => Math.floor(random.next() * count));
      for (let index = 0; index < OPERATIONS; index += 1) await storm.carryOut(`op-${index}`);
      const names = world.everCreated().map(({ name }) => name);
      expect(names.sort()).toEqual(Array.from({ length: OPERATIONS }, (_, index) => `op-${index}`));
      expect(world.containers()).toHaveLength(OPERATIONS);
    } finally {
      await world.close();
    }
  });
});

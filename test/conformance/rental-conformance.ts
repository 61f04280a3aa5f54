/**
 * Holds a backend that bills to the guarantees of src/backends/contract.ts (G1 to G9), against its simulator and with everything going wrong
 * that can. What backend-conformance.ts asks of containers that are made, started and stopped does not fit what runs from its creation until its
 * end; what is common (slot, fence, failures, secrets, the end of a session) is asked here in the same words.
 */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type {
  Claim,
  CommandOutcome,
  DesiredContainer,
  Marker,
  ObservedContainer,
  RentalState,
} from "../../src/backends/contract.ts";
import { desired, until, type ConformanceProcess } from "./harness.ts";

/** A rental as the vendor's books have it. */
export interface VendorRental {
  externalId: string;
  rented: boolean;
  stops: number;
}

export interface RentalWorld {
  /** How long a start of unknown outcome may stay unseen, ms: what the backend was made with. */
  readonly settleMs: number;
  start(fence?: { held: boolean }): Promise<ConformanceProcess>;
  rentals(): VendorRental[];
  /** Requests that begin or end something and reached the vendor. */
  writes(): ("start" | "stop")[];
  faults: {
    /** The next start is carried out, its answer lost; or lost before it is carried out. */
    loseStart(when: "before" | "after"): void;
    /** The next start is answered so, before or after it was carried out. */
    answerStart(status: number, when: "before" | "after"): void;
    /** The next stop is lost. */
    loseStop(when: "before" | "after"): void;
    /** So many stops fail, and it goes on costing. */
    failStops(count: number): void;
    /** Rentals appear so much later. */
    visibleAfter(ms: number): void;
    /** Every rental fails now; or the vendor ends it. */
    fail(): void;
    end(): void;
    /** Credentials are refused; or taken again. */
    unauthorized(refused: boolean): void;
    /** Nobody answers. @returns how to end that. */
    outage(): Promise<() => Promise<void>>;
    /** The next answer to a look is everything that such an answer can be but right. */
    malformed(): void;
    /** Rentals are not found by our ids. */
    hideFromOurIds(): void;
    /** The vendor does not tell again what it was told. */
    echoNothing(): void;
  };
  close(): Promise<void>;
}

const STOP = { signal: "SIGTERM", timeoutSeconds: 1, force: true };
const NAMES = { owner: "owner-1", namespace: "default", name: "web" };

export function describeRentalConformance(name: string, subject: { world(): Promise<RentalWorld> }): void {
  describe(`${name} keeps the backend contract`, () => {
    let world: RentalWorld;
    let ours: ConformanceProcess;
    let claim: Claim;

    beforeEach(async () => {
      world = await subject.world();
      claim = { ...NAMES };
      ours = await world.start();
    });
    afterEach(async () => {
      await world.close();
    });

    const look = (process = ours) => process.session.snapshot(claim);
    const synced = (process = ours) => until(() => look(process).synced, "what is rented");
    const seen = (process = ours): ObservedContainer | undefined => look(process).containers[0];
    const stateOf = (process = ours): RentalState | undefined => {
      const rental = seen(process);
      return rental === undefined ? undefined : process.backend.planner.rentals?.state(rental);
    };
    const marker = (operation: string): Marker => ({ ...NAMES, uid: "uid-1", operation, hash: "k1:abc" });

    async function begin(
      operation: string,
      attempt: number,
      wanted: DesiredContainer = desired("registry.example/app:1"),
      process = ours,
    ): Promise<CommandOutcome> {
      claim = { ...claim, operation: { id: operation, attempt } };
      await synced(process);
      const dispatch = process.session.execute({
        kind: "Create",
        desired: wanted,
        marker: marker(operation),
        attempt,
        commandId: `${operation}.${attempt}`,
        key: "default/web",
      });
      if (!dispatch.sent) throw new Error(`not sent: ${JSON.stringify(dispatch)}`);
      return dispatch.outcome;
    }

    async function end(process = ours): Promise<CommandOutcome> {
      const externalId = seen(process)?.externalId ?? "";
      const dispatch = process.session.execute({
        kind: "Stop",
        externalId,
        ...STOP,
        commandId: `stop-${Math.random()}`,
        key: "default/web",
      });
      if (!dispatch.sent) throw new Error(`not sent: ${JSON.stringify(dispatch)}`);
      return dispatch.outcome;
    }

    const live = () => world.rentals().filter(({ rented }) => rented);

    describe("the inventory (G4)", () => {
      test("of an object without rentals is empty and complete", async () => {
        await synced();
        expect(look()).toMatchObject({ connection: "Connected", synced: true, containers: [] });
        expect(ours.account.status().state).toBe("Connected");
      });

      test("shows a rental from its start to its end, with its number and our mark", async () => {
        const outcome = await begin("op-1", 1);
        expect(outcome).toMatchObject({ result: "Succeeded", externalId: world.rentals()[0]?.externalId });
        expect(seen()).toMatchObject({ attempt: 1, image: "registry.example/app:1", marker: marker("op-1") });
        await until(() => stateOf() === "Running", "it to run");
        expect(seen()?.startedAt).toBeDefined();
        expect(await end()).toMatchObject({ result: "Succeeded" });
        expect(stateOf()).toBe("Stopped");
        expect(live()).toEqual([]);
        // Ended ones are nobody's business but their object's.
        expect(ours.session.snapshot().containers).toEqual([]);
      });

      test("knows a rental as ours where the vendor does not tell our mark again", async () => {
        world.faults.echoNothing();
        await begin("op-1", 1);
        expect(seen()?.marker).toMatchObject({ ...NAMES, operation: "op-1" });
        await ours.kill();
        const next = await world.start();
        await synced(next);
        expect(seen(next)?.marker).toMatchObject({ ...NAMES, operation: "op-1" });
      });

      test("tells by itself what the vendor does to a rental", async () => {
        await begin("op-1", 1);
        world.faults.fail();
        await until(() => stateOf() === "Failed", "the failure");
        expect(seen()).toMatchObject({ state: "Exited", error: expect.any(String) });
        world.faults.end();
        await until(() => stateOf() === "Stopped", "the end");
        expect(ours.events.some((event) => event.type === "Container")).toBe(true);
      });
    });

    describe("a rental is begun once per number (G2, G9)", () => {
      const faults: [string, (world: RentalWorld) => void][] = [
        ["nothing goes wrong", () => undefined],
        ["the answer is lost after the effect", ({ faults }) => faults.loseStart("after")],
        [
          "the answer is lost after the effect, which shows late",
          ({ faults, settleMs }) => {
            faults.loseStart("after");
            faults.visibleAfter(settleMs / 2);
          },
        ],
        ["it is answered 500 after the effect", ({ faults }) => faults.answerStart(500, "after")],
        ["it is answered 429 after the effect", ({ faults }) => faults.answerStart(429, "after")],
        ["it is answered with a success that shows late", ({ faults, settleMs }) => faults.visibleAfter(settleMs * 2)],
      ];
      test.each(faults)("when %s", async (_what, fault) => {
        await synced();
        fault(world);
        expect(await begin("op-1", 1)).toMatchObject({ result: "Succeeded" });
        expect(world.rentals()).toHaveLength(1);
        expect(world.writes()).toEqual(["start"]);
        expect(ours.session.settle("op-1")).toBe("Closed");
      });

      const nothing: [string, (world: RentalWorld) => void][] = [
        ["lost before the effect", ({ faults }) => faults.loseStart("before")],
        ["answered 500 before the effect", ({ faults }) => faults.answerStart(500, "before")],
      ];
      test.each(nothing)("when it is %s it is proven over the settle time that nothing began", async (_what, fault) => {
        await synced();
        fault(world);
        const since = performance.now();
        expect(await begin("op-1", 1)).toMatchObject({ result: "Failed", failure: { class: "Transient" } });
        expect(performance.now() - since).toBeGreaterThanOrEqual(world.settleMs);
        expect(world.rentals()).toEqual([]);
        expect(ours.session.settle("op-1")).toBe("Closed");
        expect(await begin("op-2", 1)).toMatchObject({ result: "Succeeded" });
        expect(world.rentals()).toHaveLength(1);
      });

      test("a number that exists is taken up, not begun again", async () => {
        await begin("op-1", 1);
        expect(await begin("op-2", 1)).toMatchObject({ result: "Succeeded" });
        expect(world.writes()).toEqual(["start"]);
      });

      test("not beside another one that has not ended, whatever the caller thinks", async () => {
        await begin("op-1", 1);
        claim = { ...claim, operation: { id: "op-2", attempt: 2 } };
        const dispatch = ours.session.execute({
          kind: "Create",
          desired: desired("registry.example/app:2"),
          marker: marker("op-2"),
          attempt: 2,
          commandId: "op-2.2",
          key: "default/web",
        });
        expect(dispatch).toMatchObject({ sent: false, reason: "Invalid", failure: { class: "Conflict" } });
        expect(world.writes()).toEqual(["start"]);
      });

      test("when our process dies right after the start, the next one finds it and settles the operation", async () => {
        world.faults.visibleAfter(world.settleMs / 2);
        await synced();
        world.faults.loseStart("after");
        void begin("op-1", 1);
        await until(() => world.writes().length > 0, "the start");
        await ours.kill();
        const next = await world.start();
        const states: string[] = [];
        await until(() => {
          look(next);
          states.push(next.session.settle("op-1"));
          return states.at(-1) === "Closed" && look(next).synced;
        }, "the operation's end");
        expect(states[0]).toBe("Open");
        expect(seen(next)).toMatchObject({ attempt: 1 });
        expect(world.rentals()).toHaveLength(1);
      });

      test("and a process whose records are lost waits the settle time before it believes that nothing is rented", async () => {
        world.faults.visibleAfter(world.settleMs / 2);
        await begin("op-1", 1);
        await ours.kill();
        claim = { ...NAMES };
        const next = await world.start();
        expect(look(next).synced).toBe(false);
        await synced(next);
        expect(seen(next)).toMatchObject({ attempt: 1 });
      });

      test("and where our ids lead nowhere, nothing more is begun and the account says so", async () => {
        await synced();
        world.faults.hideFromOurIds();
        expect(await begin("op-1", 1)).toMatchObject({ result: "Succeeded" });
        await until(() => ours.notices.length > 0, "the notice");
        expect(ours.notices).toMatchObject([{ reason: "LookupFailed", type: "Warning" }]);
        await end();
        const dispatch = ours.session.execute({
          kind: "Create",
          desired: desired("registry.example/app:1"),
          marker: marker("op-2"),
          attempt: 2,
          commandId: "op-2.2",
          key: "default/web",
        });
        expect(dispatch).toMatchObject({ sent: false, failure: { class: "Transient" } });
        expect(world.rentals()).toHaveLength(1);
      });

      test("and numbers that have ended are passed over, the last one is shown", async () => {
        await begin("op-1", 1);
        await end();
        await begin("op-2", 2);
        await ours.kill();
        claim = { ...NAMES };
        const next = await world.start();
        await synced(next);
        expect(look(next).containers.map(({ attempt }) => attempt)).toContain(2);
        expect(look(next).containers.find(({ attempt }) => attempt === 2)).toMatchObject({
          marker: { operation: "op-2" },
        });
      });
    });

    describe("ending", () => {
      test("a stop whose answer is lost is found out by looking", async () => {
        await begin("op-1", 1);
        world.faults.loseStop("after");
        expect(await end()).toMatchObject({ result: "Succeeded" });
        expect(live()).toEqual([]);
      });

      test("a stop that never arrived, or failed, is said to have failed, and can be asked for again", async () => {
        await begin("op-1", 1);
        world.faults.loseStop("before");
        expect(await end()).toMatchObject({ result: "Failed", failure: { class: "Transient" } });
        world.faults.failStops(1);
        expect(await end()).toMatchObject({ result: "Failed", failure: { class: "Transient" } });
        expect(live()).toHaveLength(1);
        expect(await end()).toMatchObject({ result: "Succeeded" });
        expect(live()).toEqual([]);
      });
    });

    describe("the slot (G1)", () => {
      test("takes one command at a time; the next is refused, not queued", async () => {
        await synced();
        world.faults.visibleAfter(world.settleMs);
        const first = begin("op-1", 1);
        await until(() => look().inFlight !== undefined, "the command");
        const second = ours.session.execute({
          kind: "Create",
          desired: desired("registry.example/app:1"),
          marker: marker("op-2"),
          attempt: 1,
          commandId: "op-2.1",
          key: "default/web",
        });
        expect(second).toMatchObject({ sent: false, reason: "SlotBusy" });
        expect(ours.session.settle("op-1")).toBe("Open");
        await first;
        expect(look()).not.toHaveProperty("inFlight");
        const types = ours.events.map((event) => event.type);
        expect(types.indexOf("SlotFree")).toBeGreaterThan(types.indexOf("Outcome"));
      });
    });

    describe("the fence (G3)", () => {
      test("refuses every command while it does not hold, and nothing leaves the process", async () => {
        await synced();
        ours.fence.held = false;
        const dispatch = ours.session.execute({
          kind: "Create",
          desired: desired("registry.example/app:1"),
          marker: marker("op-1"),
          attempt: 1,
          commandId: "op-1.1",
          key: "default/web",
        });
        expect(dispatch).toMatchObject({ sent: false, reason: "Fenced" });
        expect(world.writes()).toEqual([]);
      });

      test("that falls between the look and the start keeps the start from leaving", async () => {
        await synced();
        const dispatch = ours.session.execute({
          kind: "Create",
          desired: desired("registry.example/app:1"),
          marker: marker("op-1"),
          attempt: 1,
          commandId: "op-1.1",
          key: "default/web",
        });
        // In the same turn: the look has not even been answered.
        ours.fence.held = false;
        if (!dispatch.sent) throw new Error("refused");
        expect(await dispatch.outcome).toMatchObject({ result: "Failed", failure: { class: "Transient" } });
        expect(world.writes()).toEqual([]);
      });
    });

    describe("an account that cannot be used", () => {
      test("refused credentials: the account says so, commands are refused, and it comes back by itself", async () => {
        await begin("op-1", 1);
        world.faults.unauthorized(true);
        ours.session.resync("a look");
        await until(() => ours.account.status().state === "Failed", "the refusal");
        expect(ours.account.status()).toMatchObject({ reason: "Unauthorized" });
        expect(look()).toMatchObject({ synced: false, connection: "Unknown" });
        const dispatch = ours.session.execute({
          kind: "Stop",
          externalId: seen()?.externalId ?? "",
          ...STOP,
          commandId: "s",
          key: "a",
        });
        expect(dispatch).toMatchObject({ sent: false, reason: "Offline", failure: { class: "Unreachable" } });
        world.faults.unauthorized(false);
        await synced();
        expect(stateOf()).toBeDefined();
      });

      test("an outage: what was seen is kept, nothing is believed, and everything is looked up again afterwards", async () => {
        await begin("op-1", 1);
        const over = await world.faults.outage();
        await until(() => ours.account.status().state === "Failed", "the outage");
        expect(look()).toMatchObject({ synced: false });
        expect(seen()).toBeDefined();
        await over();
        await synced();
        expect(await end()).toMatchObject({ result: "Succeeded" });
      });
    });

    test("malformed answers are counted and believed in nothing (G7)", async () => {
      await begin("op-1", 1);
      world.faults.malformed();
      ours.session.resync("a look");
      await until(() => ours.malformed.length > 0, "the count");
      await synced();
      expect(seen()).toMatchObject({ attempt: 1 });
    });

    test("secrets appear in no outcome, event, difference, log line or notice (G8)", async () => {
      const secrets = ["s3cr3t-value", "r3gistry-password", "scr1pt-secret"];
      const wanted: DesiredContainer = {
        ...desired("registry.example/app:1", { env: [{ name: "TOKEN", value: "s3cr3t-value" }] }),
        registryAuth: { server: "registry.example", username: "user", password: "r3gistry-password" },
        startupScript: "scr1pt-secret",
      };
      world.faults.answerStart(400, "before");
      const refused = await begin("op-1", 1, wanted);
      expect(refused).toMatchObject({ result: "Failed" });
      await begin("op-2", 1, wanted);
      const rental = seen();
      const { planner } = ours.backend;
      const told = JSON.stringify([
        refused,
        rental,
        rental && planner.diff(wanted, rental, []),
        planner.validate(wanted),
        ours.events,
        ours.notices,
        ours.logged,
      ]);
      for (const secret of secrets) expect(told).not.toContain(secret);
    });

    test("the end of a session brings no further event and refuses commands", async () => {
      await begin("op-1", 1);
      await ours.session.close();
      const count = ours.events.length;
      expect(ours.session.execute({ kind: "Stop", externalId: "x", ...STOP, commandId: "s", key: "a" })).toMatchObject({
        sent: false,
        reason: "Closed",
      });
      world.faults.fail();
      const next = await world.start();
      await synced(next);
      expect(ours.events).toHaveLength(count);
    });
  });
}

/**
 * Holds a backend to the guarantees of src/backends/contract.ts (G1 to G8, and the wording of each member), against its simulator and
 * with everything going wrong that can. A new vendor passes this before anything else is built on it.
 */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  container,
  createOnce,
  desired,
  madeBy,
  MARKER,
  run,
  succeed,
  succeedInTheEnd,
  synced,
  until,
  type ConformanceProcess,
  type ConformanceWorld,
} from "./harness.ts";

const STOP = { signal: "SIGTERM", timeoutSeconds: 1, force: true };

export interface ConformanceSubject {
  world(): Promise<ConformanceWorld>;
}

/** Declares the suite for one backend. */
export function describeBackendConformance(name: string, subject: ConformanceSubject): void {
  describe(`${name} keeps the backend contract`, () => {
    let world: ConformanceWorld;
    let ours: ConformanceProcess;

    beforeEach(async () => {
      world = await subject.world();
      ours = await world.start();
      await synced(ours);
    });
    afterEach(async () => {
      await world.close();
    });

    const create = (image = world.image("sleeper")) => ({
      kind: "Create" as const,
      desired: desired(image),
      marker: MARKER,
    });

    describe("the inventory (G4)", () => {
      test("of an empty device is empty and complete", () => {
        expect(ours.session.snapshot()).toMatchObject({ connection: "Connected", synced: true, containers: [] });
        expect(ours.session.snapshot()).not.toHaveProperty("inFlight");
        expect(ours.account.status().state).toBe("Connected");
      });

      test("shows the effect of each command when its outcome is told", async () => {
        const id = await succeed(ours, create());
        expect(container(ours, id)).toMatchObject({ name: "web", state: "Created", marker: MARKER, runs: [] });
        await succeed(ours, { kind: "Start", externalId: id });
        expect(container(ours, id)?.state).toBe("Running");
        await succeed(ours, { kind: "Pause", externalId: id });
        expect(container(ours, id)?.state).toBe("Paused");
        await succeed(ours, { kind: "Resume", externalId: id });
        expect(container(ours, id)?.state).toBe("Running");
        await succeed(ours, { kind: "Rename", externalId: id, name: "web-2" });
        expect(container(ours, id)?.name).toBe("web-2");
        await succeed(ours, { kind: "Stop", externalId: id, ...STOP });
        expect(container(ours, id)?.state).toBe("Stopped");
        expect(container(ours, id)?.runs).toMatchObject([{ stopped: true }]);
        await succeed(ours, { kind: "Remove", externalId: id });
        expect(container(ours, id)).toBeUndefined();
        expect(await world.containers()).toEqual([]);
      });

      test("is mended in place by the planner's one update", async () => {
        const id = await succeed(ours, create());
        const { planner } = ours.backend;
        const changed = desired(world.image("sleeper"), {
          restartPolicy: { type: "OnFailure", maxRetries: 2 },
          resources: { limits: { memory: "64Mi" } },
        });
        const before = container(ours, id);
        if (before === undefined) throw new Error("not observed");
        expect(planner.diff(changed, before, []).length).toBeGreaterThan(0);
        await succeed(ours, planner.update(changed, before, []));
        const after = container(ours, id);
        expect(after && planner.diff(changed, after, [])).toEqual([]);
      });

      test("knows what people made, without a marker, and what they removed while we were away", async () => {
        const theirs = await world.human.create("theirs");
        const kept = await world.human.create("kept");
        await until(
          () => container(ours, theirs) !== undefined && container(ours, kept) !== undefined,
          "their containers",
        );
        expect(container(ours, theirs)).not.toHaveProperty("marker");
        world.faults.cut();
        await world.human.remove(theirs);
        await until(() => ours.session.snapshot().synced && container(ours, theirs) === undefined, "the removal");
        expect(container(ours, kept)).toBeDefined();
      });

      test("keeps the runs of a container that fails by itself", async () => {
        const id = await succeed(ours, create(world.image("crasher")));
        await succeed(ours, { kind: "Start", externalId: id });
        await until(
          () => (container(ours, id)?.runs.filter((each) => each.finishedAt !== undefined).length ?? 0) >= 2,
          "two runs",
        );
        const [first, second] = container(ours, id)?.runs ?? [];
        expect(first?.exitCode).not.toBe(0);
        expect(first?.stopped).toBeUndefined();
        expect(Date.parse(second?.startedAt ?? "")).toBeGreaterThan(Date.parse(first?.startedAt ?? ""));
      });

      test("is asked for again on demand, and the answer is an event", async () => {
        const { syncCount } = ours.session.snapshot();
        const before = ours.events.filter((event) => event.type === "Synced").length;
        ours.session.resync("a test");
        ours.session.resync("the same again");
        await until(() => ours.session.snapshot().syncCount > syncCount, "another inventory");
        expect(ours.events.filter((event) => event.type === "Synced").length).toBeGreaterThan(before);
      });
    });

    describe("the slot (G1, G5)", () => {
      test("takes one command at a time; the next is refused, not queued", async () => {
        const first = ours.session.execute({ ...create(world.image("slow")), commandId: "op-1.1", key: "a" });
        expect(first.sent).toBe(true);
        const second = ours.session.execute({ ...create(), commandId: "op-2.1", key: "b" });
        expect(second).toMatchObject({ sent: false, reason: "SlotBusy" });
        expect(ours.session.snapshot().inFlight).toMatchObject({ commandId: "op-1.1", kind: "Create", overdue: false });
        if (!first.sent) throw new Error("refused");
        expect(await first.outcome).toMatchObject({ result: "Succeeded", commandId: "op-1.1" });
        expect(ours.session.snapshot()).not.toHaveProperty("inFlight");
        const types = ours.events.map((event) => event.type);
        expect(types).toContain("Outcome");
        expect(types.indexOf("SlotFree")).toBeGreaterThan(types.indexOf("Outcome"));
        expect(await world.everCreated()).toHaveLength(1);
      });

      test("is held past the command's timeout until it is proven how the command ended", async () => {
        world.faults.loseCommand();
        const dispatch = ours.session.execute({ ...create(world.image("slow")), commandId: "op-1.1", key: "a" });
        if (!dispatch.sent) throw new Error("refused");
        let seenOverdue = false;
        ours.session.subscribe(() => {
          seenOverdue ||= ours.session.snapshot().inFlight?.overdue === true;
        });
        await until(() => seenOverdue || ours.session.snapshot().inFlight?.overdue === true, "the deadline");
        expect(await dispatch.outcome).toMatchObject({ result: "Lost" });
        expect(ours.session.settle("op-1")).toBe("Closed");
        expect(await world.everCreated()).toHaveLength(0);
      });

      test("is not freed by a deadline while the device still works on the command", async () => {
        const dispatch = ours.session.execute({ ...create(world.image("slow")), commandId: "op-1.1", key: "a" });
        if (!dispatch.sent) throw new Error("refused");
        world.faults.loseReply();
        expect(ours.session.settle("op-1")).toBe("Open");
        const outcome = await dispatch.outcome;
        expect(outcome.result).toBe("Succeeded");
        expect(await world.everCreated()).toHaveLength(1);
      });
    });

    describe("a create happens exactly once (G2)", () => {
      test("when nothing goes wrong", async () => {
        const id = await createOnce(ours, desired(world.image("sleeper")));
        expect((await world.everCreated()).map((each) => each.externalId)).toEqual([id]);
        expect(world.struck()).toBe(0);
      });

      const faults: [string, (faults: ConformanceWorld["faults"]) => void | Promise<void>][] = [
        ["its answer is lost", (faults) => faults.loseReply()],
        ["its answer comes twice", (faults) => faults.duplicateReply()],
        ["it never arrives", (faults) => faults.loseCommand()],
        ["the connection ends before it is acknowledged", (faults) => faults.cutBeforeAcknowledgement()],
        ["the connection ends before it arrives", (faults) => faults.cutBeforeArrival()],
      ];
      test.each(faults)("when %s", async (_what, fault) => {
        await fault(world.faults);
        const id = await createOnce(ours, desired(world.image("sleeper")));
        expect((await world.everCreated()).map((each) => each.externalId)).toEqual([id]);
        await until(() => world.struck() > 0, "the fault");
        await succeed(ours, { kind: "Start", externalId: id });
        expect(await world.containers()).toMatchObject([{ running: true, starts: 1 }]);
      });

      const duringPull: [string, (world: ConformanceWorld) => void | Promise<void>][] = [
        ["our connection is cut", (world) => world.faults.cut()],
        ["the device restarts", (world) => world.faults.reboot()],
        ["the device's connection breaks", (world) => world.faults.disconnectDevice()],
        ["somebody sends garbage", (world) => world.faults.malformed()],
      ];
      test.each(duringPull)("when %s while it is under way", async (_what, fault) => {
        const making = createOnce(ours, desired(world.image("slow")));
        await until(() => world.received().length > 0, "the create");
        await fault(world);
        const id = await making;
        // A device that lost power forgets what it was doing; what it did make before is the same container.
        expect((await world.containers()).map((each) => each.externalId)).toEqual([id]);
        expect(await world.everCreated()).toHaveLength(1);
      });

      test("when our process dies while it is under way, and the next one settles it", async () => {
        const wanted = desired(world.image("slow"));
        const sent = ours.session.execute({
          kind: "Create",
          desired: wanted,
          marker: MARKER,
          commandId: "op-1.1",
          key: "a",
        });
        expect(sent.sent).toBe(true);
        await until(() => world.received().length > 0, "the create");
        await ours.kill();
        const next = await world.start();
        const states: string[] = [];
        await until(() => {
          states.push(next.session.settle("op-1"));
          return states.at(-1) === "Closed" && next.session.snapshot().synced;
        }, "the operation's end");
        expect(states[0]).toBe("Open");
        expect(madeBy(next, "op-1")).toBeDefined();
        expect(await world.everCreated()).toHaveLength(1);
      });

      test("when our process dies before it arrives: settled, and nothing was made", async () => {
        await ours.kill();
        const next = await world.start();
        await until(() => next.session.settle("op-never") === "Closed", "the operation's end");
        expect(next.session.snapshot()).toMatchObject({ synced: true, containers: [] });
      });
    });

    describe("the fence (G3)", () => {
      test("refuses every command while it does not hold, and nothing leaves the process", async () => {
        ours.fence.held = false;
        expect(ours.session.execute({ ...create(), commandId: "op-1.1", key: "a" })).toMatchObject({
          sent: false,
          reason: "Fenced",
        });
        ours.fence.held = true;
        await succeed(ours, create());
        expect(world.received()).toHaveLength(1);
      });

      test("a standby follows, forces nothing once it has an inventory, and can take over at once", async () => {
        const standby = await world.start({ held: false });
        await synced(standby);
        const forced = world.inventoriesForced();
        const id = await succeed(ours, create());
        await until(() => container(standby, id) !== undefined, "the container at the standby");
        standby.session.resync("a standby's wish");
        await succeed(ours, { kind: "Start", externalId: id });
        await until(() => container(standby, id)?.state === "Running", "the start at the standby");
        expect(world.inventoriesForced()).toBe(forced);
        await ours.kill();
        standby.fence.held = true;
        await succeed(standby, { kind: "Stop", externalId: id, ...STOP });
      });
    });

    describe("a device out of reach", () => {
      test("is Offline, keeps what was last known, takes no commands, and comes back with a full inventory", async () => {
        const id = await succeed(ours, create());
        world.faults.offline();
        await until(() => ours.session.snapshot().connection === "Offline", "Offline");
        expect(container(ours, id)).toBeDefined();
        expect(ours.session.snapshot()).toMatchObject({ synced: false });
        expect(ours.session.snapshot().message).toBeTruthy();
        expect(ours.session.execute({ kind: "Start", externalId: id, commandId: "c", key: "a" })).toMatchObject({
          sent: false,
          reason: "Offline",
          failure: { class: "Unreachable" },
        });
        world.faults.online();
        await synced(ours);
        expect(ours.session.snapshot().connection).toBe("Connected");
        await succeed(ours, { kind: "Start", externalId: id });
        expect(await world.containers()).toMatchObject([{ running: true, starts: 1 }]);
        expect(
          ours.events
            .filter((event) => event.type === "Connection")
            .map((event) => event.type === "Connection" && event.state),
        ).toEqual(expect.arrayContaining(["Offline", "Connected"]));
      });
    });

    describe("failures (G6)", () => {
      test.each([
        ["absent", "ErrImagePull"],
        ["private", "ImageUnauthorized"],
      ] as const)("an image that is %s", async (image, reason) => {
        expect(await run(ours, create(world.image(image)))).toMatchObject({
          result: "Failed",
          failure: { class: "WorkloadFailed", reason },
        });
        expect(ours.session.settle("op-1")).not.toBe("Unknown");
        expect(await world.everCreated()).toHaveLength(0);
      });

      test("a process that cannot be started", async () => {
        const id = await succeed(ours, create(world.image("broken")));
        expect(await run(ours, { kind: "Start", externalId: id })).toMatchObject({
          result: "Failed",
          failure: { class: "WorkloadFailed", reason: "RunContainerError" },
        });
      });

      test("a host port that is taken", async () => {
        await world.faults.holdPort(18_080);
        const wanted = desired(world.image("sleeper"), { ports: [{ containerPort: 80, hostPort: 18_080 }] });
        const id = await succeed(ours, { kind: "Create", desired: wanted, marker: MARKER });
        expect(await run(ours, { kind: "Start", externalId: id })).toMatchObject({
          result: "Failed",
          failure: { class: "Conflict", reason: "PortConflict" },
        });
      });

      test("what is already so has succeeded", async () => {
        const id = await succeed(ours, create());
        await succeed(ours, { kind: "Start", externalId: id });
        await succeed(ours, { kind: "Start", externalId: id });
        await succeed(ours, { kind: "Stop", externalId: id, ...STOP });
        await succeed(ours, { kind: "Stop", externalId: id, ...STOP });
        expect(await world.containers()).toMatchObject([{ running: false, starts: 1 }]);
      });
    });

    describe("input that is malformed (G7)", () => {
      test("is dropped and counted, and the session lives on", async () => {
        const id = await succeed(ours, create());
        await world.faults.malformed();
        await until(() => ours.malformed.length > 0, "the count");
        // A device may have been led astray by it for a moment: then the command is lost, provably, and may be sent again.
        await succeedInTheEnd(ours, { kind: "Start", externalId: id });
        expect(container(ours, id)).toMatchObject({ name: "web", state: "Running" });
      });
    });

    describe("secrets (G8)", () => {
      test("appear in no outcome, event, difference, log line or notice", async () => {
        const secret = "s3cr3t-value";
        const wanted = desired(world.image("absent"), { env: [{ name: "TOKEN", value: secret }] });
        const failed = await run(ours, { kind: "Create", desired: wanted, marker: MARKER });
        const id = await succeed(ours, create());
        const { planner } = ours.backend;
        const seen = container(ours, id);
        const told = [
          failed,
          seen && planner.diff(wanted, seen, []),
          planner.validate(wanted),
          ours.events,
          ours.notices,
          ours.logged,
        ];
        expect(JSON.stringify(told)).not.toContain(secret);
      });
    });

    describe("the end of a session", () => {
      test("brings no further event, and frees the target for another one", async () => {
        await ours.session.close();
        const count = ours.events.length;
        expect(ours.session.execute({ ...create(), commandId: "op-1.1", key: "a" })).toMatchObject({
          sent: false,
          reason: "Closed",
        });
        const next = await world.start();
        await synced(next);
        await succeed(next, create());
        expect(ours.events).toHaveLength(count);
      });
    });
  });
}

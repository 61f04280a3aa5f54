/**
 * The planner's single steps, applied one after another to a device that keeps to Kanto's rules, get where they should, whatever is found:
 * stop() to a container that stays stopped, remove() to none, update() to no difference.
 */
import { assert, constantFrom, integer, option, property, record } from "fast-check";
import { describe, expect, test } from "vitest";
import type { CommandAction, DesiredContainer, ObservedContainer } from "../../../../src/backends/contract.ts";
import { kantoPlanner } from "../../../../src/backends/kanto/index.ts";
import { isObject } from "../../../../src/backends/guards.ts";
import { observed, wanted } from "./wanted.ts";

const STOP = { signal: "SIGTERM", timeoutSeconds: 30, force: true };
const LIMIT = 5;

/** A container by the daemon's rules of restart (mgr_restart_mgr.go, mgr.go Stop and Update). */
interface Model {
  status: string;
  exitCode: number;
  restartPolicy: Record<string, unknown>;
  resources: Record<string, unknown>;
  /** The device will start it again by itself. */
  pending: boolean;
}

const type = (model: Model): string => String(model.restartPolicy["type"]);

function restartsOnEnd(model: Model, byCommand: boolean): boolean {
  switch (type(model)) {
    case "ALWAYS":
      return true;
    case "ON_FAILURE":
      return model.exitCode !== 0;
    case "UNLESS_STOPPED":
      return !byCommand;
    default:
      return false;
  }
}

/** @returns undefined once removed. */
function apply(model: Model, action: CommandAction): Model | undefined {
  switch (action.kind) {
    case "Update": {
      const payload = isObject(action.payload) ? action.payload : {};
      const policy = isObject(payload["restartPolicy"]) ? payload["restartPolicy"] : model.restartPolicy;
      const resources = isObject(payload["resources"]) ? payload["resources"] : model.resources;
      const next = { ...model, restartPolicy: policy, resources };
      if (policy === model.restartPolicy) return next;
      // A changed policy cancels a pending restart, and starts what it wants running.
      const ended = next.status === "STOPPED" || next.status === "EXITED";
      const starts = ended && restartsOnEnd(next, next.status === "STOPPED");
      if (starts) return { ...next, status: "RUNNING", pending: false };
      return { ...next, status: model.pending ? "STOPPED" : next.status, pending: false };
    }
    case "Stop": {
      if (model.status !== "RUNNING" && model.status !== "PAUSED") return model;
      const stopped = { ...model, status: "STOPPED", exitCode: 143 };
      return restartsOnEnd(stopped, true) ? { ...stopped, status: "RUNNING" } : stopped;
    }
    case "Remove":
      if (model.pending) throw new Error("removed during a pending restart: the container would come back");
      if (model.status === "RUNNING" || model.status === "PAUSED") throw new Error("removed while running");
      return undefined;
    case "Resume":
      if (model.status !== "PAUSED") throw new Error("resumed although not paused");
      return { ...model, status: "RUNNING" };
    default:
      throw new Error(`not planned for: ${action.kind}`);
  }
}

function look(model: Model): ObservedContainer {
  const { status, exitCode, restartPolicy, resources } = model;
  const started = status === "CREATED" ? {} : { startedAt: "2026-01-01T00:00:00Z" };
  const state = { status, ...started, ...(exitCode !== 0 && { exitCode }) };
  return observed({ restartPolicy, resources }, state);
}

const model = record({
  status: constantFrom("CREATED", "RUNNING", "PAUSED", "STOPPED", "EXITED"),
  exitCode: constantFrom(0, 3, 143),
  policy: constantFrom("ALWAYS", "ON_FAILURE", "UNLESS_STOPPED", "NO"),
  memory: option(integer({ min: 3, max: 64 }), { nil: undefined }),
}).map(({ status, exitCode, policy, memory }): Model => {
  const ended = status === "STOPPED" || status === "EXITED";
  const made: Model = {
    status,
    exitCode: ended ? exitCode : 0,
    restartPolicy: { type: policy },
    resources: memory === undefined ? {} : { memory: `${memory}M`, memorySwap: `${2 * memory}M` },
    pending: false,
  };
  return { ...made, pending: status === "EXITED" && restartsOnEnd(made, false) };
});

const spec = record({
  policy: option(constantFrom("Always" as const, "UnlessStopped" as const, "OnFailure" as const, "No" as const), {
    nil: undefined,
  }),
  memory: option(integer({ min: 3, max: 64 }), { nil: undefined }),
}).map(({ policy, memory }): Partial<DesiredContainer["spec"]> => ({
  ...(policy !== undefined && { restartPolicy: { type: policy } }),
  ...(memory !== undefined && { resources: { limits: { memory: `${memory}Mi` } } }),
}));

describe("step by step", () => {
  test("stop() ends with a container that has stopped and stays so", () => {
    assert(
      property(model, (start) => {
        let now = start;
        for (let step = 0; step < LIMIT; step += 1) {
          const action = kantoPlanner.stop(look(now), STOP);
          if (action === undefined) {
            expect(["CREATED", "STOPPED", "EXITED"]).toContain(now.status);
            expect(now.pending).toBe(false);
            return;
          }
          now = apply(now, action) ?? now;
        }
        throw new Error(`never stopped: ${JSON.stringify(now)}`);
      }),
    );
  });

  test("remove() ends with no container, and never removes one that runs or may start again", () => {
    assert(
      property(model, (start) => {
        let now: Model | undefined = start;
        for (let step = 0; step < LIMIT && now !== undefined; step += 1)
          now = apply(now, kantoPlanner.remove(look(now), STOP));
        expect(now).toBeUndefined();
      }),
    );
  });

  test("update() mends every difference that can be mended in place, at once, also of what has left the spec", () => {
    assert(
      property(model, spec, spec, (start, before, after) => {
        const applied = kantoPlanner.paths(wanted(before));
        const desired = wanted(after);
        const differences = kantoPlanner.diff(desired, look(start), applied);
        if (differences.length === 0) return;
        const next = apply(start, kantoPlanner.update(desired, look(start), applied));
        expect(next && kantoPlanner.diff(desired, look(next), applied)).toEqual([]);
      }),
    );
  });

  test("a stopped container's hold goes when it is to run again", () => {
    assert(
      property(model, spec, (start, each) => {
        let now = start;
        for (let step = 0; step < LIMIT; step += 1) {
          const action = kantoPlanner.stop(look(now), STOP);
          if (action === undefined) break;
          now = apply(now, action) ?? now;
        }
        expect(
          kantoPlanner
            .diff(wanted(each, { state: "Stopped" }), look(now), ["restartPolicy"])
            .filter(({ path }) => path === "restartPolicy"),
        ).toEqual([]);
        const desired = wanted(each);
        if (kantoPlanner.diff(desired, look(now), []).length > 0)
          now = apply(now, kantoPlanner.update(desired, look(now), [])) ?? now;
        const held = type(now) === "NO" && each.restartPolicy?.type !== "No";
        expect(held).toBe(false);
      }),
    );
  });
});

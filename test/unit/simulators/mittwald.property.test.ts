import * as fc from "fast-check";
import { expect, test } from "vitest";
import { z } from "zod";
import {
  ManualClock,
  Refusal,
  startMittwald,
  type MittwaldSimulator,
  type Operation,
} from "../../../src/simulators/mittwald/index.ts";
import { document } from "./mittwald-bench.ts";

type Step =
  | { kind: "write"; method: "declare-stack" | "update-stack"; names: string[]; image: string; mounts: boolean }
  | { kind: "remove"; name: string }
  | { kind: "act"; name: string; action: "start" | "stop" | "restart" | "recreate" | "pull-image" }
  | { kind: "exit"; name: string; code: number }
  | { kind: "push"; image: string }
  | { kind: "volume" }
  | { kind: "wait"; ms: number };

const name = fc.constantFrom("web", "db", "job");
const image = fc.constantFrom(
  "nginx:1",
  "ghcr.io/acme/web:1",
  "ghcr.io/acme/absent:1",
  "ghcr.io/acme/crash:1",
  "ghcr.io/acme/oneshot:1",
);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant("write" as const),
    method: fc.constantFrom("declare-stack" as const, "update-stack" as const),
    names: fc.uniqueArray(name, { maxLength: 3 }),
    image,
    mounts: fc.boolean(),
  }),
  fc.record({ kind: fc.constant("remove" as const), name }),
  fc.record({
    kind: fc.constant("act" as const),
    name,
    action: fc.constantFrom(
      "start" as const,
      "stop" as const,
      "restart" as const,
      "recreate" as const,
      "pull-image" as const,
    ),
  }),
  fc.record({ kind: fc.constant("exit" as const), name, code: fc.integer({ min: 0, max: 1 }) }),
  fc.record({ kind: fc.constant("push" as const), image }),
  fc.record({ kind: fc.constant("volume" as const) }),
  fc.record({ kind: fc.constant("wait" as const), ms: fc.integer({ min: 0, max: 8000 }) }),
);

const SUCCESS: Partial<Record<Operation, number>> = { "declare-stack": 200, "update-stack": 200 };

test("whatever is done to a stack: every answer is the document's, reads show it after the lag, and the books add up", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), fc.integer({ min: 0, max: 2000 }), async (steps, lagMs) => {
      const clock = new ManualClock();
      const vendor = await startMittwald({ clock, quirks: { lagMs, listLagMs: lagMs } });
      try {
        for (const each of steps) await carryOut(vendor, clock, each);
        await clock.advance(4001);
        await agrees(vendor);
      } finally {
        await vendor.stop();
      }
    }),
    { numRuns: 60 },
  );
});

async function carryOut(vendor: MittwaldSimulator, clock: ManualClock, step: Step): Promise<void> {
  const [project] = vendor.platform.projects();
  const stackId = project?.id ?? "";
  const stack = vendor.platform.stack(stackId);
  const call = (operation: Operation, path: Record<string, string>, body?: unknown): void => {
    try {
      const answer = vendor.human.call(operation, { stackId, ...path }, body);
      expect(answer.status).toBe(SUCCESS[operation] ?? 204);
      const text = answer.body === undefined ? "" : JSON.stringify(answer.body);
      expect(document.answerProblem(operation, answer.status, "application/json", text)).toBeUndefined();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const { status, body } = error.answer;
      expect(document.answerProblem(operation, status, "application/json", JSON.stringify(body))).toBeUndefined();
    }
  };
  const others = (names: readonly string[]) =>
    JSON.stringify([...stack.containers].filter(([key]) => !names.includes(key)).map(([, each]) => each.body()));
  switch (step.kind) {
    case "write": {
      const volumes = step.mounts ? { data: { name: "data" } } : {};
      const service = { image: step.image, description: "x", volumes: step.mounts ? ["data:/data"] : [] };
      const before = others(step.names);
      call(step.method, {}, { services: Object.fromEntries(step.names.map((key) => [key, service])), volumes });
      if (step.method === "update-stack") expect(others(step.names)).toBe(before);
      else expect([...stack.containers.keys()].toSorted()).toEqual(step.names.toSorted());
      break;
    }
    case "remove": {
      const before = others([step.name]);
      call("update-stack", {}, { services: { [step.name]: {} } });
      expect(stack.containers.has(step.name)).toBe(false);
      expect(others([step.name])).toBe(before);
      break;
    }
    case "act": {
      const operation: Operation = step.action === "pull-image" ? "pull-image-for-service" : `${step.action}-service`;
      const id = stack.containers.get(step.name)?.identity.id;
      call(operation, { serviceId: id ?? "c-000000" });
      break;
    }
    case "exit": {
      const container = stack.containers.get(step.name);
      if (container?.status === "running") container.exit(step.code);
      break;
    }
    case "push":
      vendor.platform.images.push(step.image);
      break;
    case "volume": {
      const [volume] = stack.volumes.values();
      call("delete-volume", { volumeId: volume?.id ?? "00000000-0000-4000-8000-000000000000" });
      break;
    }
    case "wait":
      await clock.advance(step.ms);
      break;
    default:
      step satisfies never;
  }
}

/** What is seen is what is, and what was made and not removed is what is there. */
async function agrees(vendor: MittwaldSimulator): Promise<void> {
  const { effects } = vendor.platform;
  const [stack] = vendor.platform.stacks();
  if (stack === undefined) throw new Error("no stack");
  const response = await fetch(`${vendor.url}/v2/stacks/${stack.id}`, {
    headers: { "x-access-token": "mittwald-token" },
  });
  const seen: unknown = await response.json();
  const bodies = [...stack.containers.values()].map((container) => container.body());
  // Statuses may have moved within the lag: those of a crash loop never stand still.
  const steady = (list: object[]) =>
    list.map((each) => ({
      ...each,
      status: "",
      statusSetAt: "",
      message: "",
      deployedState: {},
      requiresRecreate: false,
    }));
  const shown = z.object({ services: z.array(z.looseObject({})) }).parse(seen).services;
  const byName = (list: object[]) =>
    JSON.parse(JSON.stringify(list.toSorted((one, other) => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1))));
  expect(byName(steady(shown))).toEqual(byName(steady(bodies)));
  const { created, removed } = effects.counts();
  expect(created - removed).toBe(bodies.length);
}

/** Writes the EdgeContainers of an EdgeStack. Every write names the object it was decided on, so none ever hits a namesake. */
import type { Logger } from "../../controller/logging.ts";
import type { EdgeStack } from "../../crds/edge-stack.ts";
import { isAlreadyExists, isConflict, isForbidden, isInvalid, isNotFound, isRefusedPatch } from "../../kube/errors.ts";
import { keyOf, resourceName } from "../../kube/resource.ts";
import type { Environment } from "../environment.ts";
import { EVENT_REASONS } from "../event-reasons.ts";
import { correction, nameInStack, newChild, ownership } from "./child.ts";
import type { ChildStep } from "./plan.ts";

/** What a round of writes left behind. */
export interface Written {
  /** Something had changed since it was read: look again. */
  again: boolean;
  /** What the API server refuses for good, by the name in the stack. */
  readonly refused: Map<string, string>;
}

/** Makes the writes in their order. Throws ApiError or TransportError where the API server fails or is away. */
export async function writeSteps(
  stack: EdgeStack,
  steps: readonly ChildStep[],
  env: Environment,
  log: Logger,
): Promise<Written> {
  const written: Written = { again: false, refused: new Map() };
  for (const step of steps) {
    try {
      await write(stack, step, env, log);
    } catch (error) {
      if (hasChanged(error)) written.again = true;
      else if (isInvalid(error) || (step.type !== "Delete" && isForbidden(error)))
        written.refused.set(nameOf(stack, step), messageOf(error));
      else throw error;
    }
  }
  return written;
}

/** It is no longer as it was read. */
function hasChanged(error: unknown): boolean {
  return isConflict(error) || isAlreadyExists(error) || isNotFound(error) || isRefusedPatch(error);
}

function nameOf(stack: EdgeStack, step: ChildStep): string {
  return step.type === "Create" ? step.container.name : nameInStack(stack, step.current);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function write(stack: EdgeStack, step: ChildStep, env: Environment, log: Logger): Promise<void> {
  const resource = env.resources.containers;
  const collection = resourceName(resource);
  switch (step.type) {
    case "Create": {
      const made = await env.client.create(resource, newChild(stack, step.container, step.spec));
      env.expectations.wrote(collection, keyOf(made), made.metadata.resourceVersion);
      log.info({ container: made.metadata.name }, "EdgeContainer made");
      env.events.record(stack, "Normal", EVENT_REASONS.ChildCreated, `made EdgeContainer ${made.metadata.name}`);
      return;
    }
    case "Correct": {
      const { current, spec } = step;
      const body = correction(current, spec, stack);
      const changed = await env.client.patch(resource, keyOf(current), { type: "json", body });
      env.expectations.wrote(collection, keyOf(changed), changed.metadata.resourceVersion);
      log.info({ container: current.metadata.name, whose: ownership(current, stack) }, "EdgeContainer set as wanted");
      return;
    }
    case "Delete": {
      const { current } = step;
      await env.client.delete(resource, keyOf(current), {
        uid: current.metadata.uid,
        propagationPolicy: "Background",
      });
      log.info({ container: current.metadata.name }, "EdgeContainer deleted");
      env.events.record(stack, "Normal", EVENT_REASONS.ChildRemoved, `deleted EdgeContainer ${current.metadata.name}`);
      return;
    }
    default:
      return step satisfies never;
  }
}

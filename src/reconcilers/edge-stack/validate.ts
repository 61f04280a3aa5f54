/** What is wrong with an EdgeStack beyond what admission can check. Pure. */
import { edgeContainerSpec } from "../../crds/edge-container.ts";
import type { EdgeDevice } from "../../crds/edge-device.ts";
import type { EdgeStack } from "../../crds/edge-stack.ts";
import { problemsOf } from "../../crds/parse.ts";
import type { StalledReason } from "../../crds/reasons.ts";
import { childSpec, stackOwnerOf } from "./child.ts";
import { inOrder } from "./order.ts";

/** Longest value of a label, which the stack's name becomes on its EdgeContainers. */
const LONGEST_LABEL = 63;

/** Why the spec is refused as a whole. */
export interface StackProblem {
  readonly reason: StalledReason;
  /** Names the field and the fix. */
  readonly message: string;
}

/**
 * Everything that is wrong; nothing is made before it is mended.
 *
 * @param device the EdgeDevice of spec.deviceRef; undefined while it does not exist.
 */
export function stackProblems(stack: EdgeStack, device: EdgeDevice | undefined): StackProblem[] {
  return [...specProblems(stack), ...(device === undefined ? [] : deviceProblems(stack, device))];
}

function specProblems(stack: EdgeStack): StackProblem[] {
  const problems: StackProblem[] = [];
  const invalid = (message: string) => problems.push({ reason: "InvalidSpec", message });
  const { name } = stack.metadata;
  if (name.length > LONGEST_LABEL)
    invalid(
      `metadata.name: has ${name.length} characters, and the name of an EdgeStack may have ${LONGEST_LABEL}: create it again under a shorter one`,
    );
  const sorted = inOrder(stack.spec.containers);
  if ("circle" in sorted)
    invalid(
      `containers: ${sorted.circle.join(" depends on ")}, so that none of them can be the first: remove one dependsOn`,
    );
  stack.spec.containers.forEach((container, index) => {
    const parsed = edgeContainerSpec.safeParse(childSpec(stack, container, { device: "d", own: false }));
    if (parsed.success) return;
    for (const { path, message } of problemsOf(parsed.error, `containers[${index}].template`))
      invalid(`${path}: ${message}`);
  });
  return problems;
}

function deviceProblems({ spec }: EdgeStack, device: EdgeDevice): StackProblem[] {
  const problems: StackProblem[] = [];
  const unsupported = (message: string) => problems.push({ reason: "UnsupportedField", message });
  if (device.spec.hiveon !== undefined && spec.containers.length !== 1)
    unsupported(
      `containers: has ${spec.containers.length}, and on Hiveon each container is a rental that nothing connects with another one: leave exactly one, and make EdgeContainers of the others`,
    );
  const owner = stackOwnerOf(device);
  if (owner !== undefined)
    problems.push({
      reason: "StackOwned",
      message: `deviceRef: EdgeDevice ${device.metadata.name} stands for EdgeStack ${owner.name}'s own stack at the vendor: name the EdgeDevice of the project`,
    });
  if (device.spec.mittwald !== undefined && spec.mode === "Shared" && (spec.volumes?.length ?? 0) > 0)
    unsupported(
      "volumes: in mode Shared the stack is not this object's alone, and nothing would tell its volumes from others': leave them out; what a template mounts by volumeName is declared with it",
    );
  if (device.spec.mittwald !== undefined)
    (spec.volumes ?? []).forEach(({ name }, index) => {
      if (name.length < 2)
        problems.push({
          reason: "InvalidSpec",
          message: `volumes[${index}].name: mittwald takes two characters or more`,
        });
    });
  if (device.spec.mittwald === undefined && (spec.volumes?.length ?? 0) > 0)
    unsupported(
      "volumes: this device's backend keeps no named volumes: remove them, and mount directories of the device with hostPath where it has any",
    );
  return problems;
}

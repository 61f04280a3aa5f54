/** The matrix, part 4: a human with the local tool, at the very container that the operation is for, while it is under way. */
import { expect, test } from "vitest";
import { Human } from "../../../src/simulators/kanto/human.ts";
import type { Cell, Fault } from "./kanto-matrix/fault.ts";
import { THEIR_IMAGE } from "./kanto-matrix/rows.ts";
import { describeFaults, ends, type FaultTable } from "./kanto-matrix/suite.ts";

/** The human edits our container; where there is none yet, his own. */
function edits(name: string, edit: (human: Human, container: string) => Promise<unknown>): Fault {
  return {
    name: `a human ${name} in the middle`,
    when: "during",
    // The tool may tell him that it cannot be done just now; that is his to read.
    strike: ({ device, container, theirs }: Cell) =>
      edit(device.human, container ?? theirs).catch((error: unknown) => expect(error).toBeInstanceOf(Error)),
    // His edit may make ours impossible, or void: the next pass of the reconciler would plan anew.
    allows: ends("Succeeded", "Failed:Conflict"),
    once: true,
  };
}

const FAULTS = {
  create: [edits("makes another container of that name", (human) => human.create({ name: "web", image: THEIR_IMAGE }))],
  start: [edits("starts it", (human, container) => human.start(container))],
  stop: [edits("stops it", (human, container) => human.stop(container, { force: true, timeoutS: 1 }))],
  pause: [edits("pauses it", (human, container) => human.pause(container))],
  resume: [edits("resumes it", (human, container) => human.resume(container))],
  rename: [edits("renames it", (human, container) => human.rename(container, "by-hand"))],
  update: [
    edits("changes its limits", (human, container) => human.update(container, { resources: { memory: "32M" } })),
  ],
  remove: [edits("removes it", (human, container) => human.remove(container))],
} as const satisfies FaultTable<keyof Human>;

test("everything that the tool can do is here", () => {
  const methods = Object.getOwnPropertyNames(Human.prototype).filter((name) => name !== "constructor");
  expect(Object.keys(FAULTS).sort()).toEqual(methods.sort());
});

describeFaults(FAULTS);

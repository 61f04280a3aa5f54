/**
 * The pure half of the Kanto backend: what a spec comes to on a device, what differs from it, and the next command. No I/O, no clock, no
 * randomness.
 */
import type { Planner } from "../../contract.ts";
import { CAPABILITIES } from "./capabilities.ts";
import { diff, honouredPaths, identity } from "./diff.ts";
import { policies } from "./policies.ts";
import { remove, restarts, stop, update } from "./steps.ts";
import { validate } from "./validate.ts";

export const kantoPlanner: Planner = {
  type: "kanto",
  capabilities: CAPABILITIES,
  // Names are not unique on a Kanto device, and a created container holds no port before it is started.
  coexistence: true,
  restartsByItself: true,
  nameConflicts: true,
  // The twin echoes env as it is.
  exposesEnv: true,
  validate,
  paths: honouredPaths,
  diff,
  identity,
  update,
  stop,
  remove,
  restarts,
  policies,
};

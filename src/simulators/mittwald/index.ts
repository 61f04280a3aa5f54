// The mittwald simulator: mStudio's API for containers, with what its pages leave open as switches. It shares no code with the client of
// src/backends. platform holds what there is, container one container's life, events what is seen of it, stack-writes the rules of PUT and PATCH,
// handlers one function for each operation, server the HTTP and its faults, human the others on the same stacks, control and cli the ways in. What is
// and is not reproduced: docs/simulators.md.

export { ManualClock, systemClock, type Clock } from "../clock.ts";
export type { ActiveFault } from "../http-server.ts";
export { Refusal } from "./answers.ts";
export type { Container } from "./container.ts";
export { startControl, type Control } from "./control.ts";
export type { ServiceRequest } from "./declared.ts";
export type { EffectFilter } from "./effects.ts";
export type { Human } from "./human.ts";
export type { ImageBehaviour, ImageProblem, Login } from "./images.ts";
export { OPERATIONS, type Operation } from "./operations.ts";
export type { Platform, Project, Stack, Volume } from "./platform.ts";
export { startMittwald, type MittwaldSimulator } from "./server.ts";
export type {
  Actor,
  Effect,
  EffectCounts,
  EffectKind,
  Match,
  MittwaldOptions,
  ProjectOptions,
  Quirks,
  Rule,
  SeenRequest,
  ServiceBody,
  ServiceEffect,
  ServiceStatus,
} from "./types.ts";

/**
 * Commands of the contract as operations of the daemon: which feature, which operation, which value, and how long an answer may take.
 */
import type { Command, DesiredContainer } from "../contract.ts";
import { containerFeature, FACTORY_FEATURE, type Operation } from "./envelope.ts";
import { createValue } from "./planner/wire.ts";

export interface CommandTimings {
  /** EdgeBackend commandTimeoutSeconds, ms. */
  commandTimeoutMs: number;
  /** EdgeBackend createTimeoutSeconds, ms: a create answers only after the image was pulled. */
  createTimeoutMs: number;
}

/** What a forced remove of a running container takes: the daemon's own stop timeout of 30 s, twice (mgr.go, Remove). */
const REMOVE_STOP_MS = 2 * 30_000;

/** The operation that carries out a command. */
export function commandOperation(command: Command): Operation {
  switch (command.kind) {
    case "Create":
      return {
        feature: FACTORY_FEATURE,
        operation: "createWithConfig",
        value: createValue(command.desired, command.marker),
      };
    case "Start":
      return { feature: containerFeature(command.externalId), operation: "start", value: {} };
    case "Stop":
      return {
        feature: containerFeature(command.externalId),
        operation: "stopWithOptions",
        value: { timeout: command.timeoutSeconds, force: command.force, signal: command.signal },
      };
    case "Pause":
      return { feature: containerFeature(command.externalId), operation: "pause", value: {} };
    case "Resume":
      return { feature: containerFeature(command.externalId), operation: "resume", value: {} };
    case "Rename":
      return { feature: containerFeature(command.externalId), operation: "rename", value: command.name };
    case "Update":
      return { feature: containerFeature(command.externalId), operation: "update", value: command.payload };
    case "Remove":
      return { feature: containerFeature(command.externalId), operation: "remove", value: true };
    default:
      return command satisfies never;
  }
}

/** How long the daemon may take before a missing answer means something, ms. */
export function commandTimeoutMs(command: Command, timings: CommandTimings): number {
  switch (command.kind) {
    case "Create":
      return timings.createTimeoutMs;
    case "Stop":
      // With force the daemon waits once for the signal and once for the kill.
      return timings.commandTimeoutMs + command.timeoutSeconds * 1000 * (command.force ? 2 : 1);
    case "Remove":
      return timings.commandTimeoutMs + REMOVE_STOP_MS;
    case "Start":
    case "Pause":
    case "Resume":
    case "Rename":
    case "Update":
      return timings.commandTimeoutMs;
    default:
      return command satisfies never;
  }
}

/** The container that a command is for; undefined for a create. */
export function commandTarget(command: Command): string | undefined {
  return command.kind === "Create" ? undefined : command.externalId;
}

/** Shorter values occur in any text by chance. */
const SHORTEST_SECRET = 3;

/**
 * A text of the daemon without the values of the environment and the keys' passwords, which may come from Secrets: some of its errors
 * repeat what they were sent.
 */
export function redact(text: string, desired: DesiredContainer | undefined): string {
  const { env = [], decryption } = desired ?? {};
  // The path of a key is what a failed pull is about; its password follows the first colon.
  const passwords = (decryption?.keys ?? []).map((key) => key.replace(/^[^:]*(:(pass=)?|$)/, ""));
  const values = [...env.map((variable) => variable.value), ...passwords]
    .filter((value) => value.length >= SHORTEST_SECRET)
    .sort((left, right) => right.length - left.length);
  return values.reduce((rest, value) => rest.replaceAll(value, "***"), text);
}

/** The ten operations of the vendor's Container and Container Factory API, each checked and addressed before anything is sent. */
import type { Command } from "../../contract.ts";
import { containerFeature, FACTORY_FEATURE, type Operation } from "../envelope.ts";
import { VALUES, type OperationName, type OperationValue } from "./values.ts";

export type { OperationName } from "./values.ts";

/** What is known of an operation beside its value. */
export interface OperationFacts {
  /** Whose feature it is: the factory makes containers, a container's own feature does the rest. */
  of: "factory" | "container";
  /** It can end or change something that runs; asked about before it is done to a container that an EdgeContainer stands for. */
  disturbs: boolean;
  /** The command of the contract whose errors it shares (errors-table.ts). */
  kind: Command["kind"];
  /** What it takes when nothing is given; undefined if something must be. */
  usual?: unknown;
}

export const OPERATIONS = {
  create: { of: "factory", disturbs: false, kind: "Create" },
  createWithConfig: { of: "factory", disturbs: false, kind: "Create" },
  start: { of: "container", disturbs: false, kind: "Start", usual: {} },
  stop: { of: "container", disturbs: true, kind: "Stop", usual: {} },
  stopWithOptions: { of: "container", disturbs: true, kind: "Stop", usual: {} },
  pause: { of: "container", disturbs: true, kind: "Pause", usual: {} },
  resume: { of: "container", disturbs: false, kind: "Resume", usual: {} },
  rename: { of: "container", disturbs: true, kind: "Rename" },
  update: { of: "container", disturbs: true, kind: "Update" },
  remove: { of: "container", disturbs: true, kind: "Remove", usual: false },
} as const satisfies Record<OperationName, OperationFacts>;

/** Names of all operations, in the order of the vendor's pages. */
export const OPERATION_NAMES = Object.keys(OPERATIONS) as readonly OperationName[];

type FactoryName = { [N in OperationName]: (typeof OPERATIONS)[N]["of"] extends "factory" ? N : never }[OperationName];

/** An operation with its value, addressed. */
export type Call = {
  [N in OperationName]: { operation: N; value: OperationValue<N> } & (N extends FactoryName
    ? { container?: never }
    : { /** Id on the device. */ container: string });
}[OperationName];

/** A call, or every reason why it cannot be sent. */
export type ParsedCall = { call: Call } | { problems: readonly string[] };

/** Ids that a topic and a Ditto path can carry. The daemon makes UUIDs; SoftwareUpdatable lets others choose. */
const CONTAINER_ID = /^[^/+#\s]+$/;

/**
 * Checks what somebody wants to send. Nothing that has passed makes the daemon fall over.
 *
 * @param value undefined: what the operation takes when nothing is said.
 */
export function parseCall(operation: OperationName, container: string | undefined, value: unknown): ParsedCall {
  const facts: OperationFacts = OPERATIONS[operation];
  const problems: string[] = [];
  if (facts.of === "factory" && container !== undefined) problems.push(`${operation} takes no container: it makes one`);
  if (facts.of === "container" && container === undefined) problems.push(`${operation} needs the id of a container`);
  if (container !== undefined && !CONTAINER_ID.test(container)) {
    problems.push("the id of a container holds no /, +, # or blanks");
  }
  const given = value === undefined ? facts.usual : value;
  const parsed = VALUES[operation].safeParse(given);
  if (given === undefined) problems.push(`${operation} needs a value`);
  else if (!parsed.success) {
    for (const { path, message } of parsed.error.issues) {
      problems.push(`${["value", ...path.map(String)].join(".")}: ${message}`);
    }
  }
  if (problems.length > 0) return { problems };
  // The value was parsed by this operation's own schema, and a container is there exactly where its feature is one.
  const address = container === undefined ? {} : { container };
  return { call: { operation, value: parsed.data, ...address } as Call };
}

/** The call as the envelope's encoder takes it. */
export function wireOperation(call: Call): Operation {
  const { operation, container, value } = call;
  return { feature: container === undefined ? FACTORY_FEATURE : containerFeature(container), operation, value };
}

/** The daemon's patience with a stop that names none, seconds (mgr.go, default_ctrs_stop_timeout). */
const STOP_SECONDS = 30;

/**
 * How long an answer may take before its absence means something, ms.
 *
 * @param baseMs for an operation that the daemon carries out at once.
 * @param pullMs for one that may have to pull an image.
 */
export function patienceMs(call: Call, baseMs: number, pullMs: number): number {
  switch (call.operation) {
    case "create":
    case "createWithConfig":
      return pullMs;
    case "stop":
      return baseMs + STOP_SECONDS * 1000;
    case "stopWithOptions": {
      const { timeout = 0, force = false } = call.value;
      // With force: once for the signal, once for the kill.
      return baseMs + (timeout === 0 ? STOP_SECONDS : timeout) * 1000 * (force ? 2 : 1);
    }
    case "remove":
      return baseMs + (call.value ? 2 * STOP_SECONDS * 1000 : 0);
    case "start":
    case "pause":
    case "resume":
    case "rename":
    case "update":
      return baseMs;
    default:
      return call satisfies never;
  }
}
